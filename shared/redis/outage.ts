import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type RepeatLog, repeat } from '../process/repeat.ts';
import { unexpected } from '../process/unheard.ts';

const ASK_EVERY_MS = 1000;

/**
 * Notes when Redis goes away and when it is back, once each in the log: a process with many connections and queues would
 * say it a dozen times a second.
 */
export class RedisOutage {
  readonly #connection: Redis;
  readonly #log: RepeatLog;
  #awaySinceMs: number | undefined;

  /** @param connection one whose commands wait until Redis is back. */
  constructor(connection: Redis, log: RepeatLog) {
    this.#connection = connection;
    this.#log = log;
    connection.on('close', () => {
      if (this.#awaySinceMs === undefined) log.warn({}, 'Redis is away; work waits for it');
      this.#awaySinceMs ??= performance.now();
    });
    connection.on('ready', () => {
      if (this.#awaySinceMs !== undefined) {
        const afterSeconds = Math.round((performance.now() - this.#awaySinceMs) / 1000);
        log.info({ afterSeconds }, 'Redis is back');
      }
      this.#awaySinceMs = undefined;
    });
  }

  /**
   * Resolves once Redis has not answered for so long, or the signal is aborted. Redis is asked from now on: one that is
   * connected and does not answer is away, too.
   */
  async awayFor(ms: number, signal: AbortSignal): Promise<void> {
    let answeredAtMs = this.#awaySinceMs ?? performance.now();
    const ask = async () => {
      await this.#connection.ping();
      answeredAtMs = performance.now();
    };
    const options = { name: 'ask Redis', everyMs: ASK_EVERY_MS, log: this.#log, first: 'now' } as const;
    const asking = repeat(ask, { ...options, keepsProcessAlive: false });
    while (!signal.aborted && performance.now() - answeredAtMs < ms + ASK_EVERY_MS) {
      await delay(ASK_EVERY_MS, undefined, { ref: false });
    }
    asking.stop().catch(unexpected);
  }
}

/** True for a fault of the connection to Redis, of which an outage tells; false for an answer, and for our own faults. */
export function isConnectionFault(error: Error): boolean {
  return (
    'syscall' in error ||
    error.name === 'AbortError' ||
    /^Connection is closed|^Redis does not answer/.test(error.message)
  );
}
