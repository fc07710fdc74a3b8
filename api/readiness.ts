import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { ArtifactStore } from '../shared/artifacts/store.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { DiskReserve } from '../shared/files/disk-reserve.ts';
import { ignored } from '../shared/process/unheard.ts';
import { KEY_PREFIX } from '../shared/redis/key-prefix.ts';
import type { ReadinessProblem, ReadinessView } from '../shared/views/health-view.ts';
import type { Heartbeat } from '../shared/workers/heartbeat.ts';
import type { RecentWorkers } from './recent-workers.ts';
import { SilentWorkers } from './silent-workers.ts';

/** Anybody may ask: so often at most is it looked anew, and a file written. */
const LOOK_EVERY_MS = 500;
const WRITE_EVERY_MS = 2000;
/** A file system that does not take a few bytes in this time hangs. */
const WRITTEN_WITHIN_MS = 2000;
const PROBE_KEY = `${KEY_PREFIX}:probe`;
const PROBE_LIFETIME_MS = 10_000;

export interface ReadinessTools {
  readonly redis: Redis;
  readonly workers: Pick<RecentWorkers, 'read'>;
  readonly artifacts: Pick<ArtifactStore, 'probe'>;
  /** New work is refused below it. */
  readonly disk: DiskReserve;
  /** Work without progress for so long is stuck; half of it is reported. */
  readonly stuckMs: number;
}

/** Whether the farm can take work and do it, and why not. */
export class Readiness {
  readonly #tools: ReadinessTools;
  readonly #silent: SilentWorkers;
  #looking: Promise<ReadinessView> | undefined;
  #storage: Promise<ReadinessProblem | undefined> | undefined;
  #storageAtMs = Number.NEGATIVE_INFINITY;

  constructor(tools: ReadinessTools) {
    this.#tools = tools;
    this.#silent = new SilentWorkers(tools.redis);
  }

  /** As it was at most a second ago. Never rejects: what cannot be found out is a problem. */
  async look(): Promise<ReadinessView> {
    this.#looking ??= this.#look().finally(() => {
      setTimeout(() => {
        this.#looking = undefined;
      }, LOOK_EVERY_MS).unref();
    });
    return await this.#looking;
  }

  async #look(): Promise<ReadinessView> {
    const [workers, storage] = await Promise.all([this.#lookAtWorkers(), this.#lookAtStorage()]);
    const problems = [...workers.problems, ...(storage ? [storage] : [])];
    return { ...workers, problems, status: problems.length === 0 ? 'ready' : 'not ready' };
  }

  async #lookAtWorkers(): Promise<Omit<ReadinessView, 'status'>> {
    const { redis, workers, stuckMs } = this.#tools;
    try {
      // A Redis that is full or read-only answers what is asked of it, and takes nothing.
      await redis.set(PROBE_KEY, 1, 'PX', PROBE_LIFETIME_MS);
      const heartbeats = await workers.read();
      const stuck = heartbeats.filter(({ silentMs = 0 }) => silentMs > stuckMs / 2);
      const takes = heartbeats.filter((worker) => !worker.draining && !stuck.includes(worker));
      const gpus = takes.flatMap(({ gpuId }) => gpuId ?? []);
      const mediaWorkers = takes.length - gpus.length;
      const problems = [
        ...stuck.map(stuckProblem),
        ...(await this.#silent.look(heartbeats)).map(silentProblem),
        ...(gpus.length > 0 ? [] : [NO_GPU]),
        ...(mediaWorkers > 0 ? [] : [NO_MEDIA]),
      ];
      return { gpus, media_workers: mediaWorkers, problems };
    } catch (error) {
      const { code, message } = FarmError.from(error);
      return { gpus: [], media_workers: 0, problems: [{ code, message, live: true }] };
    }
  }

  /** A look that has not ended is not begun a second time: where storage hangs, each would hold up a thread. */
  #lookAtStorage(): Promise<ReadinessProblem | undefined> {
    if (performance.now() - this.#storageAtMs > WRITE_EVERY_MS || !this.#storage) {
      this.#storageAtMs = Number.POSITIVE_INFINITY;
      const written = tryToWrite(this.#tools);
      const ended = () => {
        this.#storageAtMs = performance.now();
      };
      written.then(ended).catch(ignored('it never rejects'));
      const hangs = delay(WRITTEN_WITHIN_MS, HANGS, { ref: false });
      this.#storage = Promise.race([written, hangs]);
    }
    return this.#storage;
  }
}

async function tryToWrite({ artifacts, disk }: ReadinessTools): Promise<ReadinessProblem | undefined> {
  try {
    await artifacts.probe();
    await disk.refuseIfShort();
    return undefined;
  } catch (error) {
    const { code, message } = FarmError.from(error, 'storage_failed');
    return { code, message, live: false };
  }
}

const HANGS: ReadinessProblem = { code: 'storage_failed', message: 'the store does not answer', live: false };

const NO_GPU: ReadinessProblem = { code: 'no_gpu', message: 'no GPU worker takes work', live: true };
const NO_MEDIA: ReadinessProblem = { code: 'no_media_worker', message: 'no media worker takes work', live: false };

const nameOf = ({ gpuId }: Heartbeat) => (gpuId === null ? 'a media worker' : `the worker of GPU ${gpuId}`);

function stuckProblem(worker: Heartbeat): ReadinessProblem {
  const seconds = Math.round((worker.silentMs ?? 0) / 1000);
  return { code: 'worker_stuck', message: `${nameOf(worker)} has made no progress for ${seconds} s`, live: true };
}

function silentProblem(worker: Heartbeat): ReadinessProblem {
  const message = `${nameOf(worker)} shows no sign of life`;
  return { code: 'worker_silent', message, live: worker.gpuId !== null };
}
