import { setTimeout as delay } from 'node:timers/promises';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';

const FRAME_MS = 1000 / FRAMES_PER_SECOND;
/** What was late is caught up with, as long as it is no more than this. */
const CAUGHT_UP_MS = 200;

/** The speed at which frames are shown: 25 a second over any longer time, and five more at once at most. */
export class Pace {
  readonly #signal: AbortSignal;
  #dueMs = performance.now();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Resolves when the next frame is due. Rejects when the signal is aborted. */
  async next(): Promise<void> {
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs + FRAME_MS, nowMs - CAUGHT_UP_MS);
    await delay(Math.max(0, this.#dueMs - nowMs), undefined, { signal: this.#signal });
  }
}
