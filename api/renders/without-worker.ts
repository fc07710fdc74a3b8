import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { statusKey } from '../../shared/renders/facets.ts';
import type { RenderStatus } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import type { Heartbeat } from '../../shared/workers/heartbeat.ts';
import { whyNoGpu, whyNoMedia } from '../../shared/workers/no-worker.ts';
import type { RecentWorkers } from '../recent-workers.ts';

const LOOK_EVERY_MS = 2500;
/** The wait for a worker, among those for other things. */
const STEP = 'worker';
/** Who writes, for the record. */
const WRITER = 'no-worker';
const OF_MEDIA_WORKERS: readonly RenderStatus[] = ['queued', 'preparing', 'stitching'];

export interface WithoutWorkerTools {
  readonly config: Config;
  readonly redis: Redis;
  readonly workers: Pick<RecentWorkers, 'read'>;
  readonly store: RenderStore;
}

/**
 * Looks for renders that no worker of the farm can go on with: notes why they wait, and ends those for which none came
 * in time. Front ends do this, since media workers may be what is missing; any number may do so at once.
 */
export class RendersWithoutWorker {
  readonly #tools: WithoutWorkerTools;
  /** Model of each render that was looked at; it never changes. */
  readonly #models = new Map<string, string>();
  #looking: Repeated | undefined;
  /** Renders that the last look found, and those that were told so: undefined before the first look. */
  #found: ReadonlySet<string> = new Set();
  #told: ReadonlySet<string> | undefined;

  constructor(tools: WithoutWorkerTools) {
    this.#tools = tools;
  }

  /** Looks every few seconds until {@link stop}. */
  start(log: RepeatLog): void {
    this.#looking = repeat(() => this.look(), {
      ...{ name: 'look for renders without a worker', everyMs: LOOK_EVERY_MS, log },
      ...({ first: 'now', keepsProcessAlive: false } as const),
    });
  }

  async stop(): Promise<void> {
    await this.#looking?.stop();
  }

  /** Looks once. What is found at two looks in a row waits: a worker that is started again is silent for some seconds. */
  async look(): Promise<void> {
    const { workers, store } = this.#tools;
    const isIdle = (await store.countActive()) === 0;
    const found = isIdle ? new Map<string, string>() : await this.#find(await workers.read());
    const told = new Set([...found.keys()].filter((id) => this.#found.has(id)));
    for (const id of told) await this.#wait(id, found.get(id) ?? '');
    // What another front end has told, before it ended, is among those of the first look.
    const before = this.#told ?? (await store.activeIds());
    await Promise.all([...before].filter((id) => !told.has(id)).map((id) => store.waits.over(id, STEP)));
    this.#found = new Set(found.keys());
    this.#told = told;
    for (const id of this.#models.keys()) if (!found.has(id)) this.#models.delete(id);
  }

  /** Unfinished renders that nobody can go on with, and why. */
  async #find(heartbeats: readonly Heartbeat[]): Promise<Map<string, string>> {
    const { redis } = this.#tools;
    const found = new Map<string, string>();
    const noMedia = whyNoMedia(heartbeats);
    for (const status of noMedia ? OF_MEDIA_WORKERS : []) {
      for (const id of await redis.zrange(statusKey(status), 0, -1)) found.set(id, noMedia ?? '');
    }
    const noGpu = this.#modelsWithoutGpu(heartbeats);
    if (noGpu.size === 0) return found;
    for (const id of await redis.zrange(statusKey('rendering'), 0, -1)) {
      const why = noGpu.get(await this.#modelOf(id));
      if (why !== undefined) found.set(id, why);
    }
    return found;
  }

  #modelsWithoutGpu(heartbeats: readonly Heartbeat[]): Map<string, string> {
    const reasons = [...this.#tools.config.models].map(([modelId, { needs }]) => {
      return [modelId, whyNoGpu(heartbeats, modelId, needs)] as const;
    });
    return new Map(reasons.flatMap(([modelId, why]) => (why === undefined ? [] : [[modelId, why]])));
  }

  async #modelOf(renderId: string): Promise<string> {
    const known = this.#models.get(renderId);
    if (known !== undefined) return known;
    const modelId = (await this.#tools.store.findReadable(renderId))?.request.modelId ?? '';
    this.#models.set(renderId, modelId);
    return modelId;
  }

  async #wait(renderId: string, why: string): Promise<void> {
    const { config, store } = this.#tools;
    const minutes = config.render.no_worker_minutes;
    const fault = new FarmError('no_worker', minutes > 0 ? `${why}. It may wait ${minutes} minutes` : why);
    const patienceMs = minutes > 0 ? minutes * MINUTE_MS : Number.POSITIVE_INFINITY;
    if (await store.waits.noteLook(renderId, STEP, fault, { patienceMs, everyMs: LOOK_EVERY_MS })) return;
    const late = new FarmError('no_worker', `${why}, and none came within ${minutes} minutes`);
    await store.fail(renderId, late.toReport(), WRITER);
  }
}
