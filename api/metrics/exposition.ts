import { setImmediate as immediate } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { COUNTED } from '../../shared/metrics/catalogue.ts';
import type { Series } from '../../shared/metrics/series.ts';
import { GAUGES, type GaugeName, type Samples } from './gauges.ts';

/** Writes what is known in the text form of Prometheus; prom-client does the writing. */

export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

interface Line {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** @param counted the series of each metric of the catalogue; one without series is there with its name alone. */
export async function writeMetrics(counted: ReadonlyMap<string, Series[]>, samples: Samples): Promise<string> {
  const registry = new Registry();
  for (const [name, { help, buckets }] of Object.entries(COUNTED)) {
    const series = counted.get(name) ?? [];
    if (buckets)
      add(
        registry,
        { name, help, type: 'histogram' },
        series.flatMap((one) => bucketLines(name, buckets, one)),
      );
    else add(registry, { name, help, type: 'counter' }, series);
  }
  for (const [name, { help }] of Object.entries(GAUGES)) {
    add(registry, { name, help, type: 'gauge' }, samples.byName.get(name as GaugeName) ?? []);
  }
  // One metric after the other: of a large farm all together would keep live streams waiting.
  const texts: string[] = [];
  for (const name of [...Object.keys(COUNTED), ...Object.keys(GAUGES)]) {
    texts.push(await registry.getSingleMetricAsString(name));
    await immediate();
  }
  return `${texts.join('\n\n')}\n`;
}

/** Gives prom-client the values as they are: its own counters would count anew in each process. */
function add(registry: Registry, about: { name: string; help: string; type: string }, values: readonly Line[]): void {
  const metric = { ...about, get: async () => ({ ...about, values, aggregator: 'sum' }) };
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
}

function bucketLines(name: string, bounds: readonly number[], { labels, value, buckets }: Series): Line[] {
  let count = 0;
  const lines = [...bounds, '+Inf'].map((le, place): Line => {
    count += buckets[place] ?? 0;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: String(le) }, value: count };
  });
  return [
    ...lines,
    { metricName: `${name}_sum`, labels, value },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
