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

/** When a stage first began and last ended, in ms since 1970. */
export type StageSpan = readonly [fromMs: number, toMs: number];
export type StageSpans = Readonly<Record<string, StageSpan>>;

/** Of tasks that are traced; all others pay nothing for it. */
const traced = new WeakMap<StageTimingsMs, Record<string, StageSpan>>();

/** Timings whose clocks note when each stage ran, too. */
export function tracedTimings(): StageTimingsMs {
  const timings = noTimings();
  traced.set(timings, {});
  return timings;
}

/** When the stages ran; undefined for timings that are not traced. */
export function spansOf(timings: StageTimingsMs): StageSpans | undefined {
  return traced.get(timings);
}

/** Notes that a stage ran in this time, by `performance.now()` of this thread. */
export function widen(spans: Record<string, StageSpan>, stage: string, fromMs: number, toMs: number): void {
  const first = spans[stage]?.[0] ?? performance.timeOrigin + fromMs;
  spans[stage] = [first, performance.timeOrigin + toMs];
}

/** Adds a frame's share of a run of the network, which took from `fromMs` to `toMs`. */
export function addRun(timings: StageTimingsMs, frameMs: number, fromMs: number, toMs: number): void {
  timings.inference += frameMs;
  const spans = traced.get(timings);
  if (spans) widen(spans, 'inference', fromMs, toMs);
}

/** Adds the time since it was made, since `start` or since the last lap to a stage. */
export class StageClock {
  readonly #timings: StageTimingsMs;
  readonly #spans: Record<string, StageSpan> | undefined;
  #sinceMs = performance.now();

  constructor(timings: StageTimingsMs) {
    this.#timings = timings;
    this.#spans = traced.get(timings);
  }

  start(): void {
    this.#sinceMs = performance.now();
  }

  lap(stage: keyof StageTimingsMs): void {
    const nowMs = performance.now();
    this.#timings[stage] += nowMs - this.#sinceMs;
    if (this.#spans) widen(this.#spans, stage, this.#sinceMs, nowMs);
    this.#sinceMs = nowMs;
  }
}
