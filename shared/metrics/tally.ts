import type { COUNTERS, CounterLabels, CounterName, HistogramLabels, HistogramName } from './catalogue.ts';
import { counterField, histogramFields } from './series.ts';

/**
 * What this process has counted and not yet told (report.ts). There is one in each process, as there is one log: what
 * counts need not be handed through everything that is counted.
 */

/** A process that cannot tell, or a command that never will, counts no more series than this. */
const MOST_WAITING = 20_000;

let counts = new Map<string, number>();

/** Adds to a counter. */
export function count<N extends CounterName>(name: N, labels: CounterLabels<N>, by = 1): void {
  if (by > 0) add(counterField(name, labels), by);
}

/** Adds one observation to a histogram. @param seconds less than 0, since the clocks of two hosts differ, counts as 0. */
export function observe<N extends HistogramName>(name: N, labels: HistogramLabels<N>, seconds: number): void {
  const fields = histogramFields(name, labels, seconds);
  add(fields.bucket, 1);
  add(fields.sum, Math.max(0, seconds));
}

/** Takes what was counted since the last call, by field. */
export function takeCounts(): ReadonlyMap<string, number> {
  const taken = counts;
  counts = new Map();
  return taken;
}

function add(field: string, by: number): void {
  const before = counts.get(field);
  if (before === undefined && counts.size >= MOST_WAITING) return;
  counts.set(field, (before ?? 0) + by);
}

/** The counter of what is left out, in the hash. */
export const DROPPED_FIELD = counterField('farm_metrics_dropped_total' satisfies keyof typeof COUNTERS, {});
