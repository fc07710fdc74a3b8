import type { Redis } from 'ioredis';
import { ACTIVE_KEY, WORK_KEY, WORK_SUMS_KEY } from './keys.ts';

/**
 * How much work the unfinished renders are: frames that were planned, and bytes of uploads that were not read yet. Kept
 * beside the records, one entry a render, and compared with the set of unfinished renders, so that it cannot drift: at most
 * once a second and whenever a render has ended, since with thousands of renders it keeps Redis busy for a while.
 */

/** What there may be; 0: any number. */
export interface WorkLimits {
  readonly frames: number;
  /** Of the render's owner alone. */
  readonly ownFrames: number;
}

export interface WorkTotals {
  readonly frames: number;
  readonly ownFrames: number;
  /** Of uploads that wait to be read. */
  readonly uploadBytes: number;
  /** Renders that are known not to fit yet. */
  readonly waitingRenders: number;
}

/** How long a sum may be out of date by renders that ended without saying so. */
const SUMS_LIFETIME_MS = 1000;

/**
 * KEYS work, active, sums. ARGV 1 id, ARGV 2 owner. An entry is "frames, bytes of the upload, frames that are waited for,
 * owner". The sums are those of all entries; whoever changes an entry changes them too, and whoever ends a render removes
 * them. To add up drops the entries of renders that have ended.
 */
const ENTRIES = `
local function parts(entry)
  local frames, bytes, wanted, owner = string.match(entry or '', '^(%d+) (%d+) (%d+) (.*)$')
  return {frames = tonumber(frames or 0), bytes = tonumber(bytes or 0), wanted = tonumber(wanted or 0), owner = owner}
end
local function sums_of(entry, sums)
  local part = parts(entry)
  local function add(name, count) if count > 0 then sums[name] = (sums[name] or 0) + count end end
  add('frames', part.frames)
  add('bytes', part.bytes)
  add('waiting', part.wanted > 0 and 1 or 0)
  if part.owner then add('of:' .. part.owner, part.frames) end
  return sums
end
local function change_sums(entry, sign)
  for name, count in pairs(sums_of(entry, {})) do
    redis.call('HINCRBY', KEYS[3], name, string.format('%d', sign * count))
  end
end
local function put(entry)
  local before = redis.call('HGET', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], entry)
  if redis.call('EXISTS', KEYS[3]) == 0 then return end
  if before then change_sums(before, -1) end
  change_sums(entry, 1)
end
`;

const ADD_UP = `${ENTRIES}
if redis.call('EXISTS', KEYS[3]) == 0 then
  local sums = {frames = 0}
  local entries = redis.call('HGETALL', KEYS[1])
  for i = 1, #entries, 2 do
    if redis.call('SISMEMBER', KEYS[2], entries[i]) == 0 then redis.call('HDEL', KEYS[1], entries[i])
    else sums_of(entries[i + 1], sums) end
  end
  for name, count in pairs(sums) do redis.call('HSET', KEYS[3], name, string.format('%d', count)) end
  redis.call('PEXPIRE', KEYS[3], ${SUMS_LIFETIME_MS})
end
local function sum(name) return tonumber(redis.call('HGET', KEYS[3], name) or 0) end
local own_entry = parts(redis.call('HGET', KEYS[1], ARGV[1]))
local function fits(count)
  local all, mine = tonumber(ARGV[3]), tonumber(ARGV[4])
  local frames = sum('frames') - own_entry.frames
  if all > 0 and frames > 0 and frames + count > all then return false end
  local own = sum('of:' .. ARGV[2]) - own_entry.frames
  return not (ARGV[2] ~= '' and mine > 0 and own > 0 and own + count > mine)
end
`;

const TOTALS = `${ADD_UP}
return {sum('frames'), sum('of:' .. ARGV[2]), sum('bytes'), sum('waiting')}
`;

/** Also ARGV bytes. An entry that is there stays: this may come late, or again. */
const UPLOAD_WAITS = `${ENTRIES}
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then put('0 ' .. ARGV[3] .. ' 0 ' .. ARGV[2]) end
`;

/** Also ARGV most frames, most of the owner. Returns 1 when as many as the render is known to need fit. */
const MAY_BEGIN = `${ADD_UP}
return fits(math.max(1, own_entry.wanted)) and 1 or 0
`;

/** Also ARGV most frames, most of the owner, frames. Returns 1 when they fit; else they are noted as waited for. */
const CLAIM = `${ADD_UP}
local ok = fits(tonumber(ARGV[5]))
local waits = '0 ' .. string.format('%d', own_entry.bytes) .. ' ' .. ARGV[5] .. ' '
put((ok and (ARGV[5] .. ' 0 0 ') or waits) .. ARGV[2])
return ok and 1 or 0
`;

export class RenderWork {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async totals(owner = ''): Promise<WorkTotals> {
    const sums = (await this.#run(TOTALS, '', owner, 0, 0)) as number[];
    const [frames = 0, ownFrames = 0, uploadBytes = 0, waitingRenders = 0] = sums;
    return { frames, ownFrames, uploadBytes, waitingRenders };
  }

  /** Notes that the upload of an admitted render waits to be read. */
  async uploadWaits(renderId: string, bytes: number, owner = ''): Promise<void> {
    await this.#run(UPLOAD_WAITS, renderId, owner, bytes);
  }

  /** False while there is no room for a render's frames, as far as their number is known. */
  async mayBegin(renderId: string, owner: string | undefined, { frames, ownFrames }: WorkLimits): Promise<boolean> {
    return (await this.#run(MAY_BEGIN, renderId, owner ?? '', frames, ownFrames)) === 1;
  }

  /**
   * Takes the frames of a planned render into account, at once with the look whether they fit. False: they do not, and
   * nothing was taken. A render that has all limits to itself always fits.
   */
  async claim(
    renderId: string,
    owner: string | undefined,
    count: number,
    { frames, ownFrames }: WorkLimits,
  ): Promise<boolean> {
    return (await this.#run(CLAIM, renderId, owner ?? '', frames, ownFrames, count)) === 1;
  }

  async #run(script: string, renderId: string, owner: string, ...more: number[]): Promise<unknown> {
    return await this.#redis.eval(script, 3, WORK_KEY, ACTIVE_KEY, WORK_SUMS_KEY, renderId, owner, ...more);
  }
}
