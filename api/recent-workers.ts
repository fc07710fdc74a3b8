import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { ignored } from '../shared/process/unheard.ts';
import { type Heartbeat, readHeartbeats } from '../shared/workers/heartbeat.ts';

/** Heartbeats come every second, so there is nothing new to read more often than this. */
const REFRESH_AFTER_MS = 500;
/** As old as a worker's last heartbeat may be anyway: a request that is placed by it is looked after from then on. */
const GOOD_ENOUGH_MS = 1500;
/** Pause before a reading out of turn, by how long the last one took: a full farm may refuse hundreds a second. */
const PAUSE_PER_READING = 4;

/**
 * The workers' heartbeats, read at most half a second ago: each reading brings those of the whole farm, so all requests
 * of a front end share it.
 */
export class RecentWorkers {
  readonly #redis: Redis;
  #heartbeats: readonly Heartbeat[] = [];
  #readAtMs = -Infinity;
  #tookMs = 0;
  #reading: Promise<readonly Heartbeat[]> | undefined;
  /** A reading that has not begun yet. */
  #next: Promise<readonly Heartbeat[]> | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Those that are alive, GPU workers first; the same array until they are read again. */
  async read(): Promise<readonly Heartbeat[]> {
    if (performance.now() - this.#readAtMs < REFRESH_AFTER_MS) return this.#heartbeats;
    return await this.#begun();
  }

  /** To place a request that somebody waits for: those of up to a second and a half ago, and then they are read anew. */
  async lately(): Promise<readonly Heartbeat[]> {
    if (performance.now() - this.#readAtMs > GOOD_ENOUGH_MS) return await this.read();
    this.read().catch(ignored('whoever needs them newer reads them again'));
    return this.#heartbeats;
  }

  /**
   * Before a request is refused, or gets another GPU than the one it names: those of now, and what is asked of the others
   * afterwards goes by them too. All who ask before the reading begins share it.
   */
  async now(): Promise<readonly Heartbeat[]> {
    this.#next ??= this.#readNext();
    return await this.#next;
  }

  async #readNext(): Promise<readonly Heartbeat[]> {
    const pauseMs = Math.min(REFRESH_AFTER_MS, PAUSE_PER_READING * this.#tookMs);
    const leftMs = this.#readAtMs + pauseMs - performance.now();
    // All who ask in the same turn of the event loop share it.
    await (leftMs > 0 ? delay(leftMs) : immediate());
    // Those under way may have asked Redis before.
    while (this.#reading) await this.#reading.catch(ignored('whoever began it hears of it'));
    this.#next = undefined;
    return await this.#begun();
  }

  /** The reading under way, or a new one. */
  async #begun(): Promise<readonly Heartbeat[]> {
    this.#reading ??= this.#refresh().finally(() => {
      this.#reading = undefined;
    });
    return await this.#reading;
  }

  async #refresh(): Promise<readonly Heartbeat[]> {
    const beganAtMs = performance.now();
    this.#heartbeats = await readHeartbeats(this.#redis);
    this.#readAtMs = performance.now();
    this.#tookMs = this.#readAtMs - beganAtMs;
    return this.#heartbeats;
  }
}
