import type { Redis } from 'ioredis';

export const OLDEST_REDIS = { major: 6, minor: 2 };

/** Why this Redis is unsuitable: it is too old, or it may evict queued jobs. Empty when it is suitable. */
export async function findRedisProblems(redis: Redis): Promise<string[]> {
  const info = await redis.info();
  const version = /redis_version:(\S+)/.exec(info)?.[1] ?? '0.0';
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'noeviction';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const problems: string[] = [];
  if (major < OLDEST_REDIS.major || (major === OLDEST_REDIS.major && minor < OLDEST_REDIS.minor)) {
    problems.push(`Redis ${version} is too old; the farm needs ${OLDEST_REDIS.major}.${OLDEST_REDIS.minor} or newer`);
  }
  if (policy !== 'noeviction') {
    problems.push(`maxmemory-policy is ${policy}, which can throw queued jobs away; set it to noeviction`);
  }
  return problems;
}
