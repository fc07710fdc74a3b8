import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { type Repeated, type RepeatLog, repeat } from '../process/repeat.ts';

const ASK_EVERY_MS = 1000;

/**
 * Notes when Redis goes away and when it is back, once each in the log: a process with many connections and queues would
 * say it a dozen times a second. A Redis that is connected and does not answer is away, too.
 */
export class RedisOutage {
  readonly #asking: Repeated;
  #answeredAtMs = performance.now();

  /** @param connection one whose commands wait until Redis is back. */
  constructor(connection: Redis, log: RepeatLog) {
    let away = false;
    connection.on('close', () => {
      if (!away) log.warn({}, 'Redis is away; work waits for it');
      away = true;
    });
    connection.on('ready', () => {
      if (away) log.info({ afterSeconds: Math.round(this.#silentMs / 1000) }, 'Redis is back');
      away = false;
    });
    const ask = async () => {
      await connection.ping();
      this.#answeredAtMs = performance.now();
    };
    this.#asking = repeat(ask, { name: 'ask Redis', everyMs: ASK_EVERY_MS, log, keepsProcessAlive: false });
  }

  /** Resolves once Redis has not answered for so long, or the signal is aborted. */
  async awayFor(ms: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#silentMs < ms + ASK_EVERY_MS) {
      await delay(ASK_EVERY_MS, undefined, { ref: false });
      this.#asking.now();
    }
  }

  get #silentMs(): number {
    return performance.now() - this.#answeredAtMs;
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
