import { KEY_PREFIX } from '../redis.ts';
import { COUNTED, type CountedMetric } from './catalogue.ts';

/** Names of the fields under which the counts of one series are kept in Redis. */

/** A hash: what the farm has counted, by field. */
export const COUNTS_KEY = `${KEY_PREFIX}:metrics`;

/** Between the name, the values of the labels and the part. No value has one. */
const TAB = '\t';
/** Parts of a histogram: the sum of what was observed, and each bucket by its place; those beyond the last are `b<n>`. */
const SUM = 'sum';

/** A counter with these values of its labels, in the order of the catalogue. */
export function counterField(name: string, labels: Readonly<Record<string, string | number>>): string {
  return [name, ...valuesOf(name, labels)].join(TAB);
}

/** The two fields that an observation of so many seconds adds to. */
export function histogramFields(
  name: string,
  labels: Readonly<Record<string, string | number>>,
  seconds: number,
): { bucket: string; sum: string } {
  const { buckets = [] } = COUNTED[name] ?? {};
  const found = buckets.findIndex((bound) => seconds <= bound);
  const series = counterField(name, labels);
  return {
    bucket: `${series}${TAB}b${found === -1 ? buckets.length : found}`,
    sum: `${series}${TAB}${SUM}`,
  };
}

function valuesOf(name: string, labels: Readonly<Record<string, string | number>>): string[] {
  return (COUNTED[name]?.labels ?? []).map((label) => String(labels[label] ?? '').replaceAll(TAB, ' '));
}

/** What one series has counted. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** Of a counter; the sum of a histogram. */
  value: number;
  /** Observations in each bucket alone, one more than there are bounds; of a histogram. */
  readonly buckets: number[];
}

/** The series of each metric, from the fields of the hash. Metrics of a newer version are left out. */
export function readSeries(fields: Readonly<Record<string, string>>): Map<string, Series[]> {
  const found = new Map<string, Map<string, Series>>();
  for (const [field, text] of Object.entries(fields)) {
    const [name = '', ...rest] = field.split(TAB);
    const metric = Object.hasOwn(COUNTED, name) ? COUNTED[name] : undefined;
    if (metric) addTo(found, name, metric, rest, Number(text));
  }
  return new Map([...found].map(([name, series]) => [name, [...series.values()]]));
}

function addTo(
  found: Map<string, Map<string, Series>>,
  name: string,
  metric: CountedMetric,
  rest: readonly string[],
  amount: number,
): void {
  const values = rest.slice(0, metric.labels.length);
  const part = rest[metric.labels.length];
  const ofName = found.get(name) ?? new Map<string, Series>();
  found.set(name, ofName);
  const key = values.join(TAB);
  const series = ofName.get(key) ?? {
    labels: Object.fromEntries(metric.labels.map((label, place) => [label, values[place] ?? ''])),
    value: 0,
    buckets: Array<number>((metric.buckets?.length ?? -1) + 1).fill(0),
  };
  ofName.set(key, series);
  if (part?.startsWith('b')) series.buckets[Number(part.slice(1))] = amount;
  else series.value = amount;
}
