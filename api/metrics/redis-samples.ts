import type { Redis } from 'ioredis';
import type { Samples } from './gauges.ts';

/** What Redis says of itself. */
export async function sampleRedis(redis: Redis, samples: Samples): Promise<void> {
  const facts = readInfo(await redis.info());
  const number = (name: string) => Number(facts.get(name) ?? 0);
  const isOk = (...names: string[]) => (names.every((name) => (facts.get(name) ?? 'ok') === 'ok') ? 1 : 0);
  samples.set('farm_redis_up', {}, 1);
  samples.set('farm_redis_memory_bytes', {}, number('used_memory'));
  samples.set('farm_redis_memory_limit_bytes', {}, number('maxmemory'));
  samples.set('farm_redis_clients', {}, number('connected_clients'));
  samples.set('farm_redis_aof_enabled', {}, number('aof_enabled'));
  samples.set('farm_redis_aof_ok', {}, isOk('aof_last_write_status', 'aof_last_bgrewrite_status'));
  samples.set('farm_redis_rdb_ok', {}, isOk('rdb_last_bgsave_status'));
}

function readInfo(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
}
