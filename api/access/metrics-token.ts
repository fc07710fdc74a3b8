import { createHash, timingSafeEqual } from 'node:crypto';
import type { Config } from '../../shared/config/load.ts';

/** Whether a presented key is `metrics.token`, which opens /metrics and nothing else. Without a token none is. */
export function isMetricsToken({ metrics }: Pick<Config, 'metrics'>, presented: string): boolean {
  const { token } = metrics;
  return token !== '' && timingSafeEqual(digest(token), digest(presented));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
