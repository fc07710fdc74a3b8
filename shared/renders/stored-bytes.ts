import type { Redis } from 'ioredis';
import { recordKey, STORED_KEY, STORED_SUMS_KEY } from './keys.ts';

/**
 * How many bytes the files of renders take, for the quotas of the farm and of its API keys. A render has one entry: its
 * upload from admission on, its result once it is completed, nothing once it is cancelled or removed. The scripts that
 * change a render change its entry and the sums with it; what they cannot know is corrected by what lies on the disk.
 */

/** Names of the sums: of the whole farm, and of one API key. */
export const SUM_OF_ALL = 'all';
export const sumOf = (owner: string) => `of ${owner}`;
/** Entries that are corrected by one command. */
const PIECE = 200;

/** Lua for other scripts: sets the entry of a render, whose owner is read from its record. The same again changes nothing. */
export const COUNT_STORED = `
local function add_stored(sums, owner, bytes)
  local names = owner == '' and {'${SUM_OF_ALL}'} or {'${SUM_OF_ALL}', '${sumOf('')}' .. owner}
  for _, name in ipairs(names) do
    if redis.call('HINCRBY', sums, name, bytes) == 0 then redis.call('HDEL', sums, name) end
  end
end
local function count_stored(entries, sums, record, id, bytes)
  local before, of = string.match(redis.call('HGET', entries, id) or '', '^(%d+) (.*)$')
  if before then add_stored(sums, of, '-' .. before) end
  if tonumber(bytes) == 0 then return redis.call('HDEL', entries, id) end
  local raw = redis.call('HGET', record, 'owner')
  local owner = raw and cjson.decode(raw) or ''
  redis.call('HSET', entries, id, bytes .. ' ' .. owner)
  add_stored(sums, owner, bytes)
end
`;

/** KEYS entries, sums. ARGV prefix of records, ended statuses as a JSON array, then id, bytes, … Skips what has not ended. */
const CORRECT = `${COUNT_STORED}
local ended = {}
for _, status in ipairs(cjson.decode(ARGV[2])) do ended[cjson.encode(status)] = true end
for i = 3, #ARGV, 2 do
  local record = ARGV[1] .. ARGV[i]
  if ended[redis.call('HGET', record, 'status') or ''] then count_stored(KEYS[1], KEYS[2], record, ARGV[i], ARGV[i + 1]) end
end
`;

/** KEYS entries, sums. ARGV prefix of records. Drops entries of renders without a record, and adds up all others. */
const ADD_UP_AGAIN = `
local sums = {}
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  if redis.call('EXISTS', ARGV[1] .. entries[i]) == 0 then redis.call('HDEL', KEYS[1], entries[i])
  else
    local bytes, owner = string.match(entries[i + 1], '^(%d+) (.*)$')
    sums['${SUM_OF_ALL}'] = (sums['${SUM_OF_ALL}'] or 0) + bytes
    if owner ~= '' then sums['${sumOf('')}' .. owner] = (sums['${sumOf('')}' .. owner] or 0) + bytes end
  end
end
redis.call('DEL', KEYS[2])
for name, bytes in pairs(sums) do redis.call('HSET', KEYS[2], name, string.format('%.0f', bytes)) end
`;

export interface StoredTotals {
  readonly bytes: number;
  /** Of the owner alone. */
  readonly ownBytes: number;
}

/** What the files of an ended render take, as the disk says. */
export interface RenderSize {
  readonly renderId: string;
  readonly bytes: number;
}

export class StoredBytes {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async totals(owner = ''): Promise<StoredTotals> {
    const [all, own] = await this.#redis.hmget(STORED_SUMS_KEY, SUM_OF_ALL, sumOf(owner));
    return { bytes: Number(all ?? 0), ownBytes: Number(own ?? 0) };
  }

  /** Takes over what was measured, of renders that have ended, and forgets what has no record. */
  async correct(sizes: readonly RenderSize[]): Promise<void> {
    for (let start = 0; start < sizes.length; start += PIECE) {
      const pairs = sizes.slice(start, start + PIECE).flatMap(({ renderId, bytes }) => [renderId, bytes]);
      await this.#run(CORRECT, JSON.stringify(['completed', 'failed', 'cancelled']), ...pairs);
    }
    await this.#run(ADD_UP_AGAIN);
  }

  async #run(script: string, ...values: (string | number)[]): Promise<void> {
    await this.#redis.eval(script, 2, STORED_KEY, STORED_SUMS_KEY, recordKey(''), ...values);
  }
}
