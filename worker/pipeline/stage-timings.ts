/** Where a render's time goes. */

/** Milliseconds spent in each stage, added up; `mel` includes reading the sound. */
export interface StageTimingsMs {
  mel: number;
  encoder: number;
  background: number;
  visualInput: number;
  inference: number;
  composite: number;
}

/** Timings before anything has run. */
export function noTimings(): StageTimingsMs {
  return { mel: 0, encoder: 0, background: 0, visualInput: 0, inference: 0, composite: 0 };
}

/** Adds the time since it was made, since `start` or since the last lap to a stage. */
export class StageClock {
  readonly #timings: StageTimingsMs;
  #sinceMs = performance.now();

  constructor(timings: StageTimingsMs) {
    this.#timings = timings;
  }

  start(): void {
    this.#sinceMs = performance.now();
  }

  lap(stage: keyof StageTimingsMs): void {
    const nowMs = performance.now();
    this.#timings[stage] += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
  }
}
