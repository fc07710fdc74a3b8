/**
 * Reads Prometheus's text format 0.0.4 as strictly as a stock Prometheus and its linters together do. Error for the first
 * line that is wrong.
 */

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: { readonly name: string; readonly labels: Record<string, string>; readonly value: number }[];
}

const COMMENT = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/y;
const UNESCAPED: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' };
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { histogram: ['_bucket', '_sum', '_count'] };

export function readExposition(page: string): Map<string, Family> {
  if (!page.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let [help, current] = ['', ''];
  for (const line of page.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const [, kind, name = '', text = ''] = COMMENT.exec(line) ?? [];
    if (kind === 'HELP') help = text;
    else if (kind === 'TYPE') {
      if (families.has(name)) throw new Error(`${name} comes in two places`);
      families.set(name, { type: text, help, samples: [] });
      current = name;
    } else {
      const sample = sampleOf(line);
      const family = families.get(current);
      const names = (SUFFIXES[family?.type ?? ''] ?? ['']).map((suffix) => current + suffix);
      if (!names.includes(sample.name)) throw new Error(`a sample outside of its family: ${line}`);
      const series = line.slice(0, line.lastIndexOf(' '));
      if (seen.has(series)) throw new Error(`a series twice: ${series}`);
      seen.add(series);
      family?.samples.push(sample);
    }
  }
  for (const [name, family] of families) if (family.type === 'histogram') checkHistogram(name, family);
  return families;
}

function sampleOf(line: string): Family['samples'][number] {
  const [, name, labels = '', number] = SAMPLE.exec(line) ?? [];
  const value = number === '+Inf' ? Number.POSITIVE_INFINITY : Number(number);
  if (name === undefined || Number.isNaN(value)) throw new Error(`no sample: ${line}`);
  const found: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < labels.length) {
    const [, label, text] = LABEL.exec(labels) ?? [];
    if (label === undefined || text === undefined || label in found) throw new Error(`wrong labels: ${line}`);
    found[label] = text.replaceAll(/\\[\\"n]/g, (sign) => UNESCAPED[sign] as string);
  }
  return { name, labels: found, value };
}

/** Buckets grow with their bounds, and the last one counts all. */
function checkHistogram(name: string, { samples }: Family): void {
  const bySeries = new Map<string, Family['samples']>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    bySeries.set(key, [...(bySeries.get(key) ?? []), sample]);
  }
  for (const [labels, series] of bySeries) {
    const buckets = series.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((bucket) => (bucket.labels.le === '+Inf' ? Infinity : Number(bucket.labels.le)));
    const count = series.find((sample) => sample.name === `${name}_count`)?.value;
    const grows = (values: readonly number[]) =>
      values.every((value, at) => at === 0 || value >= (values[at - 1] ?? 0));
    const isWhole = bounds.at(-1) === Infinity && buckets.at(-1)?.value === count;
    if (!grows(bounds) || !grows(buckets.map(({ value }) => value)) || !isWhole) {
      throw new Error(`${name}${labels} is no histogram`);
    }
  }
}
