import type { Redis } from 'ioredis';
import { ACTIVE_KEY, WORK_KEY } from './keys.ts';

/**
 * How much work the unfinished renders are: frames that were planned, and bytes of uploads that were not read yet. Kept
 * beside the records, one entry a render, and compared with the set of unfinished renders, so that it cannot drift.
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
}

/**
 * KEYS work, active. ARGV 1 id, ARGV 2 owner. An entry is "frames, bytes of the upload, frames that are waited for,
 * owner". Adds up the entries of all other unfinished renders, and drops those of renders that have ended.
 */
const ADD_UP = `
local frames, own, bytes = 0, 0, 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  if redis.call('SISMEMBER', KEYS[2], entries[i]) == 0 then redis.call('HDEL', KEYS[1], entries[i])
  elseif entries[i] ~= ARGV[1] then
    local count, upload, owner = string.match(entries[i + 1], '^(%d+) (%d+) %d+ (.*)$')
    frames = frames + count
    bytes = bytes + upload
    if owner == ARGV[2] then own = own + count end
  end
end
local function fits(count)
  local all, mine = tonumber(ARGV[3]), tonumber(ARGV[4])
  if all > 0 and frames > 0 and frames + count > all then return false end
  return not (ARGV[2] ~= '' and mine > 0 and own > 0 and own + count > mine)
end
`;

const TOTALS = `${ADD_UP}
return {frames, own, bytes}
`;

/** Also ARGV most frames, most of the owner. Returns 1 when as many as the render is known to need fit. */
const MAY_BEGIN = `${ADD_UP}
local wanted = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^%d+ %d+ (%d+)')
return fits(math.max(1, tonumber(wanted or '1'))) and 1 or 0
`;

/** Also ARGV most frames, most of the owner, frames. Returns 1 when they fit; else they are noted as waited for. */
const CLAIM = `${ADD_UP}
local ok = fits(tonumber(ARGV[5]))
local bytes = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^%d+ (%d+)') or '0'
local entry = ok and (ARGV[5] .. ' 0 0 ') or ('0 ' .. bytes .. ' ' .. ARGV[5] .. ' ')
redis.call('HSET', KEYS[1], ARGV[1], entry .. ARGV[2])
return ok and 1 or 0
`;

export class RenderWork {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async totals(owner = ''): Promise<WorkTotals> {
    const [frames = 0, ownFrames = 0, uploadBytes = 0] = (await this.#run(TOTALS, '', owner)) as number[];
    return { frames, ownFrames, uploadBytes };
  }

  /** Notes that the upload of an admitted render waits to be read. */
  async uploadWaits(renderId: string, bytes: number, owner = ''): Promise<void> {
    await this.#redis.hset(WORK_KEY, renderId, `0 ${bytes} 0 ${owner}`);
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
    const limits = more.length > 0 ? more : [0, 0];
    return await this.#redis.eval(script, 2, WORK_KEY, ACTIVE_KEY, renderId, owner, ...limits);
  }
}
