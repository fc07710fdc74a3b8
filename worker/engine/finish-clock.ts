import type { FinishTimings } from './compositor-protocol.ts';

/** Where the time of a task's frames goes in the compositor thread. */
export class FinishClock {
  #compositeMs = 0;
  #encodeMs = 0;
  /** Frames that are being encoded or written now, and since when there are any. */
  #encoding = 0;
  #encodingSinceMs = 0;

  get timings(): FinishTimings {
    return { composite: this.#compositeMs, encode: this.#encodeMs };
  }

  /** Counts work that puts a mouth into its picture. */
  composite<T>(work: () => T): T {
    const startedAt = performance.now();
    try {
      return work();
    } finally {
      this.#compositeMs += performance.now() - startedAt;
    }
  }

  /** Counts work that encodes or writes frames; time in which several are in progress counts once. */
  async encode<T>(work: () => Promise<T>): Promise<T> {
    if (this.#encoding++ === 0) this.#encodingSinceMs = performance.now();
    try {
      return await work();
    } finally {
      if (--this.#encoding === 0) this.#encodeMs += performance.now() - this.#encodingSinceMs;
    }
  }
}
