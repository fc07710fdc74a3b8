import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { DEAD_AFTER_MS } from '../../shared/process/signs-of-life.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { HEARTBEAT_KEY_PREFIX } from '../../shared/workers/heartbeat.ts';
import type { PipelineThread } from '../engine/pipeline-thread.ts';
import type { LoadResult, LoadTask } from '../engine/thread-protocol.ts';

/**
 * One model, one content: all GPU workers of a farm render a model from the same bytes, or the frames of one render
 * would differ. Each worker says in Redis what the files of the models in its memory hash to. One whose files hash
 * differently does not use them, for as long as any living worker has others in memory.
 */

const LOOK_EVERY_MS = 2000;
/** For files that are replaced on all workers at once, and for the heartbeat of a worker that has died. */
const PATIENCE_MS = DEAD_AFTER_MS + 1000;
const TRY_EVERY_MS = 250;
/** Of a farm that has ended, so that its key goes. */
const LIFETIME_MS = 60_000;
/** Looks between two renewals of a claim that stands: three fit into its lifetime. */
const RENEW_EVERY_LOOKS = 10;

const claimSchema = z.object({ worker: z.string(), host: z.string(), hash: z.string() });
type Claim = z.infer<typeof claimSchema>;

/**
 * Claims a model for a worker, unless a living worker claims it with another hash: returns that one's claim then, else
 * nil. What the worker claimed before is gone in both cases, and so are claims of the dead. A claim that is there already
 * is only renewed: whoever came after it has agreed with it.
 * KEYS claims of the model. ARGV worker, its claim, beginning of the keys of heartbeats, lifetime in ms.
 */
const CLAIM = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return nil
end
redis.call('HDEL', KEYS[1], ARGV[1])
local mine = cjson.decode(ARGV[2])
local found = redis.call('HGETALL', KEYS[1])
for i = 1, #found, 2 do
  if redis.call('EXISTS', ARGV[3] .. found[i]) == 0 then redis.call('HDEL', KEYS[1], found[i])
  elseif cjson.decode(found[i + 1]).hash ~= mine.hash then return found[i + 1] end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return nil
`;
/** KEYS claims of the model. ARGV worker, its claim. */
const RELEASE = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
`;

export interface ModelClaimsTools {
  readonly redis: Redis;
  readonly workerId: string;
  readonly thread: Pick<PipelineThread, 'load' | 'models'>;
  /** Has the files of a model on this host, by the key under which the registry knows it. */
  readonly haveFiles: (key: string, signal: AbortSignal, waitMs: number | undefined) => Promise<void>;
  readonly log: RepeatLog;
  /** Told when a model is refused, and when it is not any more. */
  readonly onChange: () => void;
}

/** What this worker has said of a model in its memory. */
interface Own {
  readonly hash: string;
  /** Why it must not be used; undefined when it may. */
  readonly refusal: string | undefined;
}

export class ModelClaims {
  readonly #tools: ModelClaimsTools;
  /** By the key under which the registry has the model: its id, or that of an earlier entry. */
  readonly #own = new Map<string, Own>();
  readonly #looking: Repeated;
  #looks = 0;

  constructor(tools: ModelClaimsTools) {
    this.#tools = tools;
    const options = { name: 'claim the models in memory', everyMs: LOOK_EVERY_MS, log: tools.log };
    this.#looking = repeat(() => this.#look(), options);
  }

  /** Why other workers' files keep this worker from using a model; empty when nothing does. */
  problemsOf(modelId: string): string[] {
    const refusal = this.#own.get(modelId)?.refusal;
    return refusal === undefined ? [] : [refusal];
  }

  /**
   * Loads a model, if it is not in memory, and sees that no other worker uses other files for it. To be called before
   * each use.
   * @throws FarmError `model_files_differ`; as `HostModels.ready` and `PipelineThread.load` do; `signal.reason` once that
   * is aborted.
   */
  async load(task: LoadTask, signal: AbortSignal): Promise<LoadResult> {
    const isThere = this.#hashOf(task.modelId) !== undefined;
    const result = isThere ? { modelWasLoaded: true, modelLoadMs: 0 } : await this.#load(task, signal);
    const hash = this.#hashOf(task.modelId);
    // Unloaded again already, for another: the next use loads it and comes back here.
    if (hash !== undefined) await this.#agree(task.modelId, hash, signal);
    return result;
  }

  async #load(task: LoadTask, signal: AbortSignal): Promise<LoadResult> {
    const startedAtMs = performance.now();
    await this.#tools.haveFiles(task.modelId, signal, task.waitMs);
    const fetchMs = performance.now() - startedAtMs;
    const left = task.waitMs === undefined ? task : { ...task, waitMs: Math.max(1, task.waitMs - fetchMs) };
    return await this.#tools.thread.load(left, signal);
  }

  /** To be called when a model was loaded or unloaded. */
  changed(): void {
    this.#looking.now();
  }

  /** Its claims end with its heartbeat. */
  async stop(): Promise<void> {
    await this.#looking.stop();
  }

  async #agree(key: string, hash: string, signal: AbortSignal): Promise<void> {
    const known = this.#own.get(key);
    if (known?.hash === hash && known.refusal === undefined) return;
    // One that was refused a moment ago has waited then.
    const untilMs = performance.now() + (known?.hash === hash ? 0 : PATIENCE_MS);
    for (;;) {
      const refusal = await this.#claim(key, hash);
      if (refusal === undefined || performance.now() >= untilMs) this.#note(key, { hash, refusal });
      if (refusal === undefined) return;
      if (performance.now() >= untilMs) throw new FarmError('model_files_differ', refusal);
      await delay(TRY_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  /** Lets go of what is not in memory any more, and sees whether what was refused still is. */
  async #look(): Promise<void> {
    const isRenewal = ++this.#looks % RENEW_EVERY_LOOKS === 0;
    for (const [key, { hash, refusal }] of [...this.#own]) {
      if (this.#hashOf(key) === hash) {
        const stands = refusal === undefined && !isRenewal && (await this.#stands(key, hash));
        if (!stands) this.#note(key, { hash, refusal: await this.#claim(key, hash) });
      } else {
        this.#note(key, undefined);
        await this.#tools.redis.eval(RELEASE, 1, redisKeyOf(key), this.#tools.workerId, this.#textOf(hash));
      }
    }
  }

  /** Whether the claim is still there: one that is was agreed with by all others. */
  async #stands(key: string, hash: string): Promise<boolean> {
    return (await this.#tools.redis.hget(redisKeyOf(key), this.#tools.workerId)) === this.#textOf(hash);
  }

  /** Returns why the model must not be used; undefined when it may. */
  async #claim(key: string, hash: string): Promise<string | undefined> {
    const { redis, workerId } = this.#tools;
    const answer = await redis.eval(
      ...([CLAIM, 1, redisKeyOf(key), workerId, this.#textOf(hash), HEARTBEAT_KEY_PREFIX, LIFETIME_MS] as const),
    );
    if (answer === null) return undefined;
    const other = claimSchema.parse(JSON.parse(String(answer)));
    return (
      `The files of model ${key} hash to ${hash} on ${hostname()} (${workerId}), and to ${other.hash} on ` +
      `${other.host} (${other.worker}), which has them in memory`
    );
  }

  #note(key: string, own: Own | undefined): void {
    const before = this.#own.get(key)?.refusal;
    if (own) this.#own.set(key, own);
    else this.#own.delete(key);
    if (own?.refusal === before) return;
    if (own?.refusal) this.#tools.log.warn({ model: key, reason: own.refusal }, 'model refused: its files differ');
    this.#tools.onChange();
  }

  #textOf(hash: string): string {
    return JSON.stringify({ worker: this.#tools.workerId, host: hostname(), hash } satisfies Claim);
  }

  #hashOf(key: string): string | undefined {
    return this.#tools.thread.models.loaded.get(key)?.filesHash;
  }
}

const redisKeyOf = (key: string) => `${KEY_PREFIX}:model-files:${key}`;
