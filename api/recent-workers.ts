import type { Redis } from 'ioredis';
import { ignored } from '../shared/process/unheard.ts';
import { type Heartbeat, readHeartbeats } from '../shared/workers/heartbeat.ts';

/** Heartbeats come every second, so there is nothing new to read more often than this. */
const REFRESH_AFTER_MS = 500;
/** As old as a worker's last heartbeat may be anyway: a request that is placed by it is looked after from then on. */
const GOOD_ENOUGH_MS = 1500;

/**
 * The workers' heartbeats, read at most half a second ago: each reading brings those of the whole farm, so all requests
 * of a front end share it.
 */
export class RecentWorkers {
  readonly #redis: Redis;
  #heartbeats: readonly Heartbeat[] = [];
  #readAtMs = -Infinity;
  #reading: Promise<readonly Heartbeat[]> | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Those that are alive, GPU workers first; the same array until they are read again. */
  async read(): Promise<readonly Heartbeat[]> {
    if (performance.now() - this.#readAtMs < REFRESH_AFTER_MS) return this.#heartbeats;
    this.#reading ??= this.#refresh().finally(() => {
      this.#reading = undefined;
    });
    return await this.#reading;
  }

  /** To place a request that somebody waits for: those of up to a second and a half ago, and then they are read anew. */
  async lately(): Promise<readonly Heartbeat[]> {
    if (performance.now() - this.#readAtMs > GOOD_ENOUGH_MS) return await this.read();
    this.read().catch(ignored('whoever needs them newer reads them again'));
    return this.#heartbeats;
  }

  async #refresh(): Promise<readonly Heartbeat[]> {
    this.#heartbeats = await readHeartbeats(this.#redis);
    this.#readAtMs = performance.now();
    return this.#heartbeats;
  }
}
