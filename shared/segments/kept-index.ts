import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis/key-prefix.ts';

/**
 * What is kept, how large it is and when it was last used, for all processes of the farm. The files are the truth: what
 * is lost here is noted again when it is used, or found by the collector.
 */

/** Keys of entries by the time of their last use in ms, and the bytes of each. */
const USED_KEY = `${KEY_PREFIX}:segments:kept`;
const BYTES_KEY = `${USED_KEY}:bytes`;
/** All bytes added up. */
const SUM_KEY = `${USED_KEY}:sum`;
const KEYS = [USED_KEY, BYTES_KEY, SUM_KEY] as const;

/** The time is that of Redis, since the clocks of hosts differ. `drop` returns whether the entry was there. */
const STEPS = `
local function drop(key)
  local bytes = redis.call('HGET', KEYS[2], key)
  redis.call('ZREM', KEYS[1], key)
  if not bytes then return false end
  redis.call('HDEL', KEYS[2], key)
  redis.call('DECRBY', KEYS[3], bytes)
  return true
end
local function evict(most, free)
  local gone = {}
  local freed = 0
  while tonumber(redis.call('GET', KEYS[3]) or '0') > most or freed < free do
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0)[1]
    if not oldest then
      redis.call('DEL', KEYS[2], KEYS[3])
      break
    end
    freed = freed + tonumber(redis.call('HGET', KEYS[2], oldest) or '0')
    drop(oldest)
    gone[#gone + 1] = oldest
  end
  return gone
end
`;

/** KEYS used, bytes, sum. ARGV key, its bytes, bytes that may be kept. Returns the keys of entries that are to go. */
const NOTE = `${STEPS}
drop(ARGV[1])
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('INCRBY', KEYS[3], ARGV[2])
return evict(tonumber(ARGV[3]), 0)
`;
/** KEYS used, bytes, sum. ARGV bytes that may be kept, bytes that are to be freed. Returns as NOTE does. */
const EVICT = `${STEPS} return evict(tonumber(ARGV[1]), tonumber(ARGV[2]))`;
/** KEYS used, bytes, sum. ARGV keys. */
const FORGET = `${STEPS} for _, key in ipairs(ARGV) do drop(key) end`;

export interface KeptTotals {
  readonly entries: number;
  readonly bytes: number;
}

export class KeptIndex {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Notes that an entry was used, or that it is there. @returns entries that go for it, least recently used first. */
  async note(key: string, bytes: number, mostBytes: number): Promise<string[]> {
    return (await this.#run(NOTE, key, bytes, mostBytes)) as string[];
  }

  /** @returns entries that are to go so that no more than `mostBytes` are kept, and `freeBytes` are freed. */
  async evict(mostBytes: number, freeBytes = 0): Promise<string[]> {
    return (await this.#run(EVICT, mostBytes, freeBytes)) as string[];
  }

  async forget(keys: readonly string[]): Promise<void> {
    if (keys.length > 0) await this.#run(FORGET, ...keys);
  }

  /** Knows of no entry any more. */
  async forgetAll(): Promise<void> {
    await this.#redis.del(...KEYS);
  }

  /** Those of these entries that are known. */
  async known(keys: readonly string[]): Promise<Set<string>> {
    if (keys.length === 0) return new Set();
    const found = await this.#redis.hmget(BYTES_KEY, ...keys);
    return new Set(keys.filter((_, index) => found[index] !== null));
  }

  async totals(): Promise<KeptTotals> {
    const [entries, bytes] = await Promise.all([this.#redis.zcard(USED_KEY), this.#redis.get(SUM_KEY)]);
    return { entries, bytes: Number(bytes ?? 0) };
  }

  async #run(script: string, ...values: (string | number)[]): Promise<unknown> {
    return await this.#redis.eval(script, KEYS.length, ...KEYS, ...values);
  }
}
