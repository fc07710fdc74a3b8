import type { Logger } from '../../shared/process/log.ts';
import { type Rate, TokenBuckets } from './token-buckets.ts';

export interface Refusal {
  readonly address: string;
  readonly route: string;
  readonly reason: string;
  readonly keyName?: string;
}

/** Lines about one address, and about all together. */
const OF_ONE: Rate = { size: 10, perMinute: 10 };
const OF_ALL: Rate = { size: 100, perMinute: 100 };

/** Logs who was refused. Whoever asks without pause does not fill the log: lines that were left out are counted. */
export class RefusalLog {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #lines = new TokenBuckets();
  #leftOut = 0;

  constructor(log: Pick<Logger, 'warn'>) {
    this.#log = log;
  }

  note(refusal: Refusal): void {
    const isOverfull = this.#lines.take(`from ${refusal.address}`, OF_ONE) > 0 || this.#lines.take('all', OF_ALL) > 0;
    if (isOverfull) {
      this.#leftOut++;
      return;
    }
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    this.#log.warn({ ...refusal, ...(leftOut > 0 ? { leftOut } : {}) }, 'request refused');
  }
}
