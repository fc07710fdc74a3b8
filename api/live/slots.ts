import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../../shared/redis.ts';

/**
 * The live streams of the farm and the GPU of each, counted in Redis for all front ends together. A slot that is not
 * renewed expires, so that the streams of a dead front end free their GPUs.
 */

/** A hash: slot → "gpu share expiry in ms, by the clock of Redis". */
const SLOTS_KEY = `${KEY_PREFIX}:streams`;
const LIFETIME_MS = 10_000;

/** The part of a GPU that a stream takes: 1 / the number of such streams that the GPU can render. */
export interface Share {
  readonly gpuId: number;
  readonly share: number;
}

/** What the streams of a GPU take of it together. */
export interface Usage {
  readonly streams: number;
  readonly share: number;
}

/** KEYS slots. Adds up the shares in use, and removes expired slots. */
const COUNT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
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

/** ARGV slot, lifetime in ms, GPU, share. */
const PUT = `
local function put(gpu, share)
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %s %d', gpu, share, now + ARGV[2]))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
`;

/**
 * KEYS slots. ARGV slot, lifetime in ms, then GPU, share, … in the order of preference.
 * Returns the first GPU that has room, which now has the slot, or nil. A small tolerance allows for rounding.
 */
const TAKE = `${COUNT}${PUT}
for i = 3, #ARGV, 2 do
  if (used[ARGV[i]] or 0) + ARGV[i + 1] <= 1.0001 then
    put(ARGV[i], ARGV[i + 1])
    return ARGV[i]
  end
end
return nil
`;

/** KEYS slots. ARGV slot, lifetime in ms, GPU, share. */
const RENEW = `${COUNT}${PUT}
put(ARGV[3], ARGV[4])
`;

/** KEYS slots. Returns GPU, streams, share, … */
const USAGE = `${COUNT}
local result = {}
for gpu, count in pairs(streams) do
  table.insert(result, gpu)
  table.insert(result, tostring(count))
  table.insert(result, tostring(used[gpu]))
end
return result
`;

export class StreamSlots {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** A slot on the first of these GPUs that has room, or undefined when none has. */
  async take(shares: readonly Share[]): Promise<{ slotId: string; gpuId: number } | undefined> {
    const slotId = newSlotId();
    const pairs = shares.flatMap(({ gpuId, share }) => [gpuId, share]);
    const gpuId = (await this.#redis.eval(TAKE, 1, SLOTS_KEY, slotId, LIFETIME_MS, ...pairs)) as string | null;
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

/** For a stream that has no GPU yet. */
export function newSlotId(): string {
  return randomBytes(9).toString('base64url');
}

/** How many more streams fit on a GPU. @param perGpu how many of them it can render in all. */
export function freeStreams(perGpu: number, usage: Usage | undefined): number {
  return Math.max(0, Math.floor((1.0001 - (usage?.share ?? 0)) * perGpu));
}
