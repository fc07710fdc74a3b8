import { type StageSpan, widen } from '../pipeline/stage-timings.ts';
import type { FinishTimings } from './compositor-protocol.ts';

/** Where the time of a task's frames goes in the compositor thread. */
export class FinishClock {
  readonly #spans: Record<string, StageSpan> = {};
  #compositeMs = 0;
  #encodeMs = 0;
  /** Frames that are being encoded or written now, and since when there are any. */
  #encoding = 0;
  #encodingSinceMs = 0;

  get timings(): FinishTimings {
    return { composite: this.#compositeMs, encode: this.#encodeMs, spans: this.#spans };
  }

  /** Counts work that puts a mouth into its picture. */
  composite<T>(work: () => T): T {
    const startedAt = performance.now();
    try {
      return work();
    } finally {
      const endedAt = performance.now();
      this.#compositeMs += endedAt - startedAt;
      widen(this.#spans, 'composite', startedAt, endedAt);
    }
  }

  /** Counts work that encodes or writes frames; time in which several are in progress counts once. */
  async encode<T>(work: () => Promise<T>): Promise<T> {
    if (this.#encoding++ === 0) this.#encodingSinceMs = performance.now();
    try {
      return await work();
    } finally {
      if (--this.#encoding === 0) {
        const endedAt = performance.now();
        this.#encodeMs += endedAt - this.#encodingSinceMs;
        widen(this.#spans, 'encode', this.#encodingSinceMs, endedAt);
      }
    }
  }
}
