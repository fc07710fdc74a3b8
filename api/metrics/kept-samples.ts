import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { KeptIndex } from '../../shared/segments/kept-index.ts';
import { GB } from '../../shared/units.ts';
import type { Samples } from './gauges.ts';

/** What is kept of earlier renders. */
export async function sampleKept(redis: Redis, { storage }: Pick<Config, 'storage'>, samples: Samples): Promise<void> {
  const { entries, bytes } = await new KeptIndex(redis).totals();
  samples.set('farm_segments_kept', {}, entries);
  samples.set('farm_segments_kept_bytes', {}, bytes);
  samples.set('farm_segments_kept_limit_bytes', {}, storage.segment_cache_gb * GB);
}
