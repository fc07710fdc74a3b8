import type { Redis } from 'ioredis';
import { z } from 'zod';
import { GPU_QUEUE_BEGINS, GPU_ROSTER_KEY, leaseKey } from '../jobs/queues.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';

/**
 * Which number of the farm belongs to which device of which host. A number stays with its device until it is freed, so
 * that a host which comes back has its own numbers again; none is given away that a living worker has.
 */

/** Hash: number → what it belongs to; hash: device → its number. */
const NUMBERS_KEY = `${KEY_PREFIX}:gpus:numbers`;
const NUMBERS_OF_KEY = `${KEY_PREFIX}:gpus:numbers:of`;
/** Held by a worker from the moment that it claims its number until it has the lease. */
const CLAIMING = `${KEY_PREFIX}:gpus:claiming:`;
const CLAIMING_MS = 10_000;
const LEASES = leaseKey(GPU_QUEUE_BEGINS);

const ownerSchema = z.object({
  /** The host, as its operator names it. */
  host: z.string(),
  /** Tells the device from all others of the farm; null for a worker that was given its number by hand. */
  device: z.string().nullable(),
});
export type NumberOwner = z.infer<typeof ownerSchema>;

/** A device that a worker could use. */
export interface ClaimableDevice extends NumberOwner {
  readonly device: string;
}

/**
 * Functions for scripts: `is_free` says whether no living worker has the number. One that only stands in for a worker
 * which is gone, and has another number itself, gives the queue back.
 * ARGV 1 own token, 2 beginning of leases, 3 beginning of claims, 4 how many leases of workers that have ended follow.
 */
const IS_FREE = `
local ended = {}
for i = 5, 4 + ARGV[4] do ended[ARGV[i]] = true end
local function is_stand_in(lease, number)
  local own = string.match(lease, '"workerId":"gpu%-(%d+)%-')
  return own and own ~= tostring(number)
end
local function is_free(number)
  local lease = redis.call('GET', ARGV[2] .. number)
  if lease and not ended[lease] and not is_stand_in(lease, number) then return false end
  local claim = redis.call('GET', ARGV[3] .. number)
  return not claim or claim == ARGV[1]
end
`;

/**
 * Takes the number of the first device that no living worker uses; a device without one gets the lowest that nobody has
 * or ever had. KEYS numbers, numbers of devices, GPUs that ever had a queue. ARGV as above, then lifetime of the claim,
 * then device and owner of each candidate. Returns {number, device}, or nil when all devices are in use.
 */
const CLAIM = `${IS_FREE}
local lifetime = ARGV[5 + ARGV[4]]
local function take(number, device, owner)
  redis.call('SET', ARGV[3] .. number, ARGV[1], 'PX', lifetime)
  redis.call('HSET', KEYS[1], number, owner)
  redis.call('HSET', KEYS[2], device, number)
  return { tonumber(number), device }
end
for i = 6 + ARGV[4], #ARGV, 2 do
  local known = redis.call('HGET', KEYS[2], ARGV[i])
  if known and is_free(known) then return take(known, ARGV[i], ARGV[i + 1]) end
  if not known then
    local number = 0
    while redis.call('HEXISTS', KEYS[1], number) == 1 or redis.call('SISMEMBER', KEYS[3], number) == 1
      or not is_free(number) do number = number + 1 end
    return take(number, ARGV[i], ARGV[i + 1])
  end
end
return nil
`;

/** Gives a number to an owner, and no more to the device that had it. KEYS both hashes. ARGV number, owner. */
const GIVE = `
local before = redis.call('HGET', KEYS[1], ARGV[1])
local device = before and cjson.decode(before).device
if type(device) == 'string' and redis.call('HGET', KEYS[2], device) == ARGV[1] then
  redis.call('HDEL', KEYS[2], device)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
`;

/** Frees a number that no living worker has. KEYS as for CLAIM. ARGV as for IS_FREE, then the number. Returns 0 or 1. */
const FREE = `${IS_FREE}
local number = ARGV[5 + ARGV[4]]
if not is_free(number) then return 0 end
local owner = redis.call('HGET', KEYS[1], number)
local device = owner and cjson.decode(owner).device
if type(device) == 'string' then redis.call('HDEL', KEYS[2], device) end
redis.call('HDEL', KEYS[1], number)
return 1
`;

export class GpuNumbers {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * The number of the first of these devices that no living worker uses; undefined when all are in use. It is held for
   * ten seconds, in which the worker takes its lease.
   * @param token of the worker that asks.
   * @param ended values of leases whose workers are known to have ended.
   */
  async claim(
    token: string,
    devices: readonly ClaimableDevice[],
    ended: readonly string[] = [],
  ): Promise<{ readonly gpuId: number; readonly device: string } | undefined> {
    const candidates = devices.flatMap((owner) => [owner.device, JSON.stringify(owner)]);
    const taken = await this.#redis.eval(
      ...([CLAIM, 3, NUMBERS_KEY, NUMBERS_OF_KEY, GPU_ROSTER_KEY, token, LEASES, CLAIMING] as const),
      ...[ended.length, ...ended, CLAIMING_MS, ...candidates],
    );
    const [gpuId, device] = z.tuple([z.int(), z.string()]).nullable().parse(taken) ?? [];
    return gpuId === undefined || device === undefined ? undefined : { gpuId, device };
  }

  /** The worker has its lease, which says from now on that the number is in use. */
  async claimed(gpuId: number): Promise<void> {
    await this.#redis.del(`${CLAIMING}${gpuId}`);
  }

  /** Notes that a worker which was given its number by hand serves it. */
  async giveByHand(gpuId: number, host: string): Promise<void> {
    const owner: NumberOwner = { host, device: null };
    await this.#redis.eval(GIVE, 2, NUMBERS_KEY, NUMBERS_OF_KEY, gpuId, JSON.stringify(owner));
  }

  /** Numbers that these devices have already. */
  async of(devices: readonly string[]): Promise<number[]> {
    if (devices.length === 0) return [];
    const numbers = await this.#redis.hmget(NUMBERS_OF_KEY, ...devices);
    return numbers.flatMap((number) => (number === null ? [] : [Number(number)]));
  }

  /** Every number that belongs to somebody, with its owner. */
  async all(): Promise<Map<number, NumberOwner>> {
    const owners = Object.entries(await this.#redis.hgetall(NUMBERS_KEY));
    return new Map(
      owners.flatMap(([number, text]) => {
        const owner = ownerSchema.safeParse(JSON.parse(text));
        return owner.success ? [[Number(number), owner.data]] : [];
      }),
    );
  }

  /** Frees a number, so that another device may get it. Returns false, and does nothing, while a living worker has it. */
  async free(gpuId: number): Promise<boolean> {
    const keys = [NUMBERS_KEY, NUMBERS_OF_KEY, GPU_ROSTER_KEY];
    return (await this.#redis.eval(FREE, 3, ...keys, '', LEASES, CLAIMING, 0, gpuId)) === 1;
  }
}
