import { KEY_PREFIX } from '../redis/key-prefix.ts';
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
  const found = new Map<string, Series[]>();
  /** By the field without its part, of histograms: several fields make one series. */
  const histograms = new Map<string, Series>();
  for (const field of Object.keys(fields)) {
    const nameEnd = field.indexOf(TAB);
    const name = nameEnd === -1 ? field : field.slice(0, nameEnd);
    const metric = Object.hasOwn(COUNTED, name) ? COUNTED[name] : undefined;
    if (!metric) continue;
    const partAt = metric.buckets ? field.lastIndexOf(TAB) : field.length;
    const key = field.slice(0, partAt);
    let series = histograms.get(key);
    if (!series) {
      series = newSeries(metric, key);
      if (metric.buckets) histograms.set(key, series);
      const ofName = found.get(name);
      if (ofName) ofName.push(series);
      else found.set(name, [series]);
    }
    addTo(series, field.slice(partAt + 1), Number(fields[field]));
  }
  return found;
}

function newSeries({ labels, buckets }: CountedMetric, key: string): Series {
  const values = key.split(TAB);
  const named: Record<string, string> = {};
  for (const [place, label] of labels.entries()) named[label] = values[place + 1] ?? '';
  return { labels: named, value: 0, buckets: Array<number>((buckets?.length ?? -1) + 1).fill(0) };
}

/** @param part of a histogram; empty for a counter. */
function addTo(series: Series, part: string, amount: number): void {
  if (part.startsWith('b')) series.buckets[Number(part.slice(1))] = amount;
  else series.value = amount;
}
