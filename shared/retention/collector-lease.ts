import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { MINUTE_MS } from '../units.ts';

/** One process of the farm removes what has expired at a time. All times are those of Redis: keys that run out. */

const LEASE_KEY = `${KEY_PREFIX}:gc:lease`;
const TURN_KEY = `${KEY_PREFIX}:gc:turn`;
/** Longer than any single removal takes; renewed before each. */
const LIFETIME_MS = 10 * MINUTE_MS;

/** KEYS lease. ARGV own token, lifetime in ms. Returns 1 while the lease is this one's. */
const RENEW = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`;
/** KEYS lease. ARGV own token. */
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

export interface CollectorLease {
  /** False once another process has it. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

/** Undefined while another process has it. */
export async function takeCollectorLease(redis: Redis): Promise<CollectorLease | undefined> {
  const token = randomUUID();
  if ((await redis.set(LEASE_KEY, token, 'PX', LIFETIME_MS, 'NX')) !== 'OK') return undefined;
  return {
    renew: async () => (await redis.eval(RENEW, 1, LEASE_KEY, token, LIFETIME_MS)) === 1,
    release: async () => {
      await redis.eval(RELEASE, 1, LEASE_KEY, token);
    },
  };
}

/** True for one caller of the whole farm in each `everyMs`. */
export async function isNextTurn(redis: Redis, everyMs: number): Promise<boolean> {
  return (await redis.set(TURN_KEY, '1', 'PX', Math.ceil(everyMs), 'NX')) === 'OK';
}
