import type { SegmentReceipt, StageTimings } from './record.ts';

/** Work of each stage in ms, over all segments. */
export function sumTimings(segments: readonly SegmentReceipt[]): StageTimings {
  const sum = { mel: 0, encoder: 0, background: 0, visual_input: 0, inference: 0, composite: 0, encode: 0 };
  for (const { timings_ms } of segments) {
    for (const stage of stagesOf(sum)) sum[stage] += timings_ms[stage];
  }
  return roundTimings(sum);
}

/** To a tenth of a millisecond. */
export function roundTimings(timings: StageTimings): StageTimings {
  const rounded = { ...timings };
  for (const stage of stagesOf(rounded)) rounded[stage] = Math.round(rounded[stage] * 10) / 10;
  return rounded;
}

function stagesOf(timings: StageTimings): (keyof StageTimings)[] {
  return Object.keys(timings) as (keyof StageTimings)[];
}
