import type { Redis } from 'ioredis';
import { type Heartbeat, haveLeft, workerOf } from '../shared/workers/heartbeat.ts';

/** A worker that is silent for longer is gone, and whether the farm works depends on the others. */
const GONE_AFTER_MS = 60_000;

interface Seen {
  readonly heartbeat: Heartbeat;
  readonly atMs: number;
}

/** Tells workers that hang, or were killed, from those that have ended as they should or have been replaced. */
export class SilentWorkers {
  readonly #redis: Redis;
  readonly #seen = new Map<string, Seen>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Workers that were alive at an earlier look, less than a minute ago, and that nobody has replaced. */
  async look(alive: readonly Heartbeat[]): Promise<Heartbeat[]> {
    const nowMs = performance.now();
    for (const heartbeat of alive) this.#seen.set(heartbeat.workerId, { heartbeat, atMs: nowMs });
    for (const [workerId, { heartbeat, atMs }] of this.#seen) {
      if (nowMs - atMs > GONE_AFTER_MS || isReplaced(heartbeat, alive)) this.#seen.delete(workerId);
    }
    const silent = [...this.#seen.values()].filter(({ atMs }) => atMs !== nowMs).map(({ heartbeat }) => heartbeat);
    const left = await haveLeft(this.#redis, silent);
    for (const workerId of left) this.#seen.delete(workerId);
    return silent.filter(({ workerId }) => !left.has(workerId));
  }
}

/** A later process serves the same GPU; any later media worker takes the place of one. */
function isReplaced({ workerId, gpuId, host, startedAtMs }: Heartbeat, alive: readonly Heartbeat[]): boolean {
  const isLike = (other: Heartbeat) => other.gpuId === null && other.host === host;
  const others = gpuId === null ? alive.filter(isLike) : [workerOf(alive, gpuId)];
  return others.some((other) => other && other.workerId !== workerId && other.startedAtMs > startedAtMs);
}
