import { setTimeout as delay } from 'node:timers/promises';
import { type FrameRate, frameMs } from '../../shared/sound/frame-rate.ts';

/** What was late is caught up with, as long as it is no more than this. */
const CAUGHT_UP_MS = 200;

/** The speed at which frames are shown: as many a second over any longer time, and five more at once at most. */
export class Pace {
  readonly #frameMs: number;
  readonly #signal: AbortSignal;
  #dueMs = performance.now();

  /** @param frameRate frames a second. */
  constructor(frameRate: FrameRate, signal: AbortSignal) {
    this.#frameMs = frameMs(frameRate);
    this.#signal = signal;
  }

  /** Resolves when the next frame is due. Rejects when the signal is aborted. */
  async next(): Promise<void> {
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs + this.#frameMs, nowMs - CAUGHT_UP_MS);
    await delay(Math.max(0, this.#dueMs - nowMs), undefined, { signal: this.#signal });
  }
}
