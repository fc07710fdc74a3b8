import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { LAST_GPU } from '../../shared/limits.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';

/**
 * The live streams of the farm and the GPU of each, counted in Redis for all front ends together. A slot that is not
 * renewed expires, so that the streams of a dead front end free their GPUs.
 */

/** A hash: slot → "gpu share expiry in ms, by the clock of Redis". The name of a slot begins with that of its API key. */
const SLOTS_KEY = `${KEY_PREFIX}:streams`;
const LIFETIME_MS = 10_000;

/** The part of a GPU that a stream takes: 1 / the number of such streams that the GPU can render. */
export interface Share {
  readonly gpuId: number;
  readonly share: number;
}

/** Of a stream that waits for a GPU: it counts for its API key alone. No GPU has this number. */
export const NOWHERE: Share = { gpuId: LAST_GPU + 1, share: 0 };

/** What the streams of a GPU take of it together. */
export interface Usage {
  readonly streams: number;
  readonly share: number;
}

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** KEYS slots. Needs `now`. Adds up the shares in use, and removes expired slots. */
const COUNT = `
local used, streams = {}, {}
local slots = redis.call('HGETALL', KEYS[1])
for i = 1, #slots, 2 do
  local gpu, share, expiry = string.match(slots[i + 1], '^(%d+) (%S+) (%d+)$')
  if tonumber(expiry) < now then redis.call('HDEL', KEYS[1], slots[i])
  else
    used[gpu] = (used[gpu] or 0) + tonumber(share)
    streams[gpu] = (streams[gpu] or 0) + 1
  end
end
`;

/** ARGV slot, lifetime in ms, GPU, share. Needs `now`. */
const PUT = `
local function put(gpu, share)
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %s %d', gpu, share, now + ARGV[2]))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
`;

/**
 * KEYS slots. ARGV slot, lifetime in ms, how the slots of the same API key begin, how many of them there may be (0 for
 * any number), then GPU, share, … in the order of preference.
 * Returns the first GPU that has room, which now has the slot, or nil; 'limit' when the key has as many as it may have.
 * A small tolerance allows for rounding.
 */
const TAKE = `${NOW}${COUNT}${PUT}
local most, own = tonumber(ARGV[4]), 0
if most > 0 then
  for _, slot in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(slot, 1, #ARGV[3]) == ARGV[3] then own = own + 1 end
  end
  if own >= most then return 'limit' end
end
for i = 5, #ARGV, 2 do
  if (used[ARGV[i]] or 0) + ARGV[i + 1] <= 1.0001 then
    put(ARGV[i], ARGV[i + 1])
    return ARGV[i]
  end
end
return nil
`;

/** KEYS slots. ARGV slot, lifetime in ms, GPU, share. Looks at no other slot: every stream comes here every 3 s. */
const RENEW = `${NOW}${PUT}
put(ARGV[3], ARGV[4])
`;

/** KEYS slots. Returns GPU, streams, share, … */
const USAGE = `${NOW}${COUNT}
local result = {}
for gpu, count in pairs(streams) do
  table.insert(result, gpu)
  table.insert(result, tostring(count))
  table.insert(result, tostring(used[gpu]))
end
return result
`;

/** The API key of a stream. */
export interface StreamOwner {
  readonly name: string;
  /** Streams of it that may have a place at the same time, on the whole farm; 0: any number. */
  readonly mostStreams: number;
}

/** Of a stream on a farm without keys. */
const NOBODY: StreamOwner = { name: '', mostStreams: 0 };

export class StreamSlots {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * A slot on the first of these GPUs that has room, or undefined when none has.
   * @throws FarmError `key_limit_reached` while the API key has as many as it may have.
   */
  async take(
    shares: readonly Share[],
    owner: StreamOwner = NOBODY,
  ): Promise<{ slotId: string; gpuId: number } | undefined> {
    const slotId = newSlotId(owner);
    const { name, mostStreams } = owner;
    const pairs = shares.flatMap(({ gpuId, share }) => [gpuId, share]);
    const taken = [SLOTS_KEY, slotId, LIFETIME_MS, ownedBy(name), mostStreams, ...pairs];
    const gpuId = (await this.#redis.eval(TAKE, 1, ...taken)) as string | null;
    if (gpuId === 'limit') {
      throw new FarmError(
        'key_limit_reached',
        `The key "${name}" has ${mostStreams} live streams, as many as its max_streams allows`,
      );
    }
    return gpuId === null ? undefined : { slotId, gpuId: Number(gpuId) };
  }

  /** Renews a slot and moves it to this GPU, whether there is room or not: its stream is rendered there already. */
  async renew(slotId: string, { gpuId, share }: Share): Promise<void> {
    await this.#redis.eval(RENEW, 1, SLOTS_KEY, slotId, LIFETIME_MS, gpuId, share);
  }

  async release(slotId: string): Promise<void> {
    await this.#redis.hdel(SLOTS_KEY, slotId);
  }

  /** By GPU; those without streams are missing. */
  async usage(): Promise<Map<number, Usage>> {
    const answer = (await this.#redis.eval(USAGE, 1, SLOTS_KEY)) as string[];
    const usage = new Map<number, Usage>();
    for (let place = 0; place < answer.length; place += 3) {
      const [gpuId, streams, share] = answer.slice(place, place + 3).map(Number);
      if (gpuId !== undefined) usage.set(gpuId, { streams: streams ?? 0, share: share ?? 0 });
    }
    return usage;
  }
}

function newSlotId({ name }: StreamOwner): string {
  return `${ownedBy(name)}${randomBytes(9).toString('base64url')}`;
}

/** How the names of the slots of an API key begin. Names of keys have no colon. */
function ownedBy(keyName: string): string {
  return `${keyName}:`;
}

/** How many more streams fit on a GPU. @param perGpu how many of them it can render in all. */
export function freeStreams(perGpu: number, usage: Usage | undefined): number {
  return Math.max(0, Math.floor((1.0001 - (usage?.share ?? 0)) * perGpu));
}
