import { DEAD_AFTER_MS } from '../../shared/process/signs-of-life.ts';
import { RedisUnavailable } from '../../shared/redis/outcome.ts';
import { type Heartbeat, workerOf } from '../../shared/workers/heartbeat.ts';
import type { RecentWorkers } from '../recent-workers.ts';

/** So long after Redis last answered, what it said of workers is no reason to ask them. */
const BELIEVED_MS = 60_000;

/**
 * The workers as live requests go by them: while Redis is away, those of which it last told. It says nothing of them
 * then, and a request that is handed over needs no Redis. When it is back they have a moment to show themselves again:
 * their heartbeats have run out meanwhile.
 */
export class KnownWorkers {
  readonly #workers: RecentWorkers;
  #last: readonly Heartbeat[] = [];
  #answeredAtMs = -Infinity;
  #wasAway = false;
  #graceUntilMs = -Infinity;

  constructor(workers: RecentWorkers) {
    this.#workers = workers;
  }

  /** Read at most half a second ago. @throws RedisUnavailable when it has been away for a minute. */
  async read(): Promise<readonly Heartbeat[]> {
    return await this.#known(() => this.#workers.read());
  }

  /** Read up to a second and a half ago. @throws as `read`. */
  async lately(): Promise<readonly Heartbeat[]> {
    return await this.#known(() => this.#workers.lately());
  }

  /** Read after this call began. @throws as `read`. */
  async now(): Promise<readonly Heartbeat[]> {
    return await this.#known(() => this.#workers.now());
  }

  async #known(read: () => Promise<readonly Heartbeat[]>): Promise<readonly Heartbeat[]> {
    try {
      return this.#note(await read());
    } catch (error) {
      if (!(error instanceof RedisUnavailable) || performance.now() - this.#answeredAtMs > BELIEVED_MS) throw error;
      this.#wasAway = true;
      return this.#last;
    }
  }

  #note(heartbeats: readonly Heartbeat[]): readonly Heartbeat[] {
    const nowMs = performance.now();
    if (this.#wasAway) this.#graceUntilMs = nowMs + DEAD_AFTER_MS;
    this.#wasAway = false;
    this.#answeredAtMs = nowMs;
    if (nowMs > this.#graceUntilMs) {
      this.#last = heartbeats;
      return heartbeats;
    }
    const silent = this.#last.filter(
      ({ gpuId, workerId }) =>
        gpuId !== null &&
        !workerOf(heartbeats, gpuId) &&
        !heartbeats.some((heartbeat) => heartbeat.workerId === workerId),
    );
    this.#last = [...heartbeats, ...silent];
    return this.#last;
  }
}
