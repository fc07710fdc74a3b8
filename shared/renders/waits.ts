import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { FarmError } from '../errors/farm-error.ts';
import { MINUTE_MS } from '../units.ts';
import { recordKey, waitsKey } from './keys.ts';
import { errorReportSchema } from './record.ts';
import { WAIT } from './scripts.ts';

const waitSchema = z.object({
  code: errorReportSchema.shape.code,
  message: z.string(),
  /** When the step first failed for a fault of the farm, without success since. */
  sinceMs: z.number(),
  /** When it is tried again; in the past while it is being tried. */
  nextTryAtMs: z.number(),
});
export type RenderWait = z.infer<typeof waitSchema>;

/** A farm that was stopped, or had no front end, does not use up the patience of its renders. */
const NOBODY_LOOKED_MS = MINUTE_MS / 2;
const PAUSE_MS = { shortest: 1000, longest: MINUTE_MS } as const;

/** What steps of renders wait for, because the farm is at fault: a step is `prepare`, `stitch`, a segment, or `worker`. */
export class RenderWaits {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Notes that a step has failed now, and says when it is to be tried again: the longer it has failed, the later.
   * Undefined when it has failed for `patienceMs`, or when the render is gone.
   */
  async note(renderId: string, step: string, fault: FarmError, patienceMs: number): Promise<RenderWait | undefined> {
    const nowMs = Date.now();
    const known = await this.#redis.hget(waitsKey(renderId), step);
    const sinceMs = known === null ? nowMs : (parseWait(known)?.sinceMs ?? nowMs);
    const waitedMs = nowMs - sinceMs;
    if (waitedMs >= patienceMs) return undefined;
    const pauseMs = Math.min(PAUSE_MS.longest, Math.max(PAUSE_MS.shortest, waitedMs));
    const nextTryAtMs = Math.min(nowMs + pauseMs, sinceMs + patienceMs);
    return await this.#write(renderId, step, fault, { sinceMs, nextTryAtMs });
  }

  /**
   * Notes that a step waits for something that is looked for every `everyMs`. Undefined when it has done so for
   * `patienceMs`, or when the render is gone. Time in which nobody looked does not count.
   */
  async noteLook(
    renderId: string,
    step: string,
    fault: FarmError,
    { patienceMs, everyMs }: { readonly patienceMs: number; readonly everyMs: number },
  ): Promise<RenderWait | undefined> {
    const nowMs = Date.now();
    const text = await this.#redis.hget(waitsKey(renderId), step);
    const known = text === null ? undefined : parseWait(text);
    const wasLookedFor = known !== undefined && nowMs - known.nextTryAtMs < NOBODY_LOOKED_MS;
    const sinceMs = wasLookedFor ? known.sinceMs : nowMs;
    if (nowMs - sinceMs >= patienceMs) return undefined;
    return await this.#write(renderId, step, fault, { sinceMs, nextTryAtMs: nowMs + everyMs });
  }

  /** The step has succeeded. */
  async over(renderId: string, step: string): Promise<void> {
    await this.#redis.hdel(waitsKey(renderId), step);
  }

  async #write(
    renderId: string,
    step: string,
    { code, message }: FarmError,
    times: Pick<RenderWait, 'sinceMs' | 'nextTryAtMs'>,
  ): Promise<RenderWait | undefined> {
    const wait: RenderWait = { code, message, ...times };
    const keys = [recordKey(renderId), waitsKey(renderId)];
    return (await this.#redis.eval(WAIT, 2, ...keys, step, JSON.stringify(wait))) === 1 ? wait : undefined;
  }

  /** What the render has waited for longest; undefined when it waits for nothing. */
  async longest(renderId: string): Promise<RenderWait | undefined> {
    const texts = await this.#redis.hvals(waitsKey(renderId));
    const waits = texts.map(parseWait).filter((wait) => wait !== undefined);
    return waits.sort((a, b) => a.sinceMs - b.sinceMs)[0];
  }
}

/** Undefined for what another version of the farm has written in another form. */
function parseWait(text: string): RenderWait | undefined {
  return waitSchema.safeParse(JSON.parse(text)).data;
}
