import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { leaseKey } from '../../shared/jobs/queues.ts';
import { hasEnded, processIdentitySchema } from '../../shared/process/process-life.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { unexpected } from '../../shared/process/unheard.ts';

/**
 * One process per GPU queue: the process that holds the lease consumes the queue. A lease that is not renewed expires.
 */

export const holderSchema = processIdentitySchema.extend({ workerId: z.string() });
export type LeaseHolder = z.infer<typeof holderSchema>;

/** Long, since a worker that loses its lease ends. Other workers take a dead worker's jobs once its heartbeat stops. */
const LIFETIME_MS = 8000;
const RENEW_EVERY_MS = 2500;
const RETRY_EVERY_MS = 300;
const CLAIM_LIFETIME_MS = 2000;
/** Long enough for an old lease to expire, or for a stand-in to finish its segment and give the lease back. */
const PATIENCE_MS = 30_000;

/** KEYS lease. ARGV own value, lifetime in ms, value that may be replaced ('' for none). Returns nil or the holder. */
const TAKE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return nil
`;

/** KEYS lease. ARGV own value. Deletes the lease if this process holds it. */
const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

export class Lease {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #claimKey: string;
  readonly #value: string;
  readonly #log: RepeatLog;
  #renewal: Repeated | undefined;

  constructor(redis: Redis, name: string, holder: LeaseHolder, log: RepeatLog) {
    this.#redis = redis;
    this.#log = log;
    this.#key = leaseKey(name);
    this.#claimKey = `${this.#key}:claim`;
    this.#value = JSON.stringify(holderSchema.parse(holder));
  }

  /**
   * For the GPU's own worker: takes the lease and renews it. A lease left by a dead process of this host is taken at
   * once; the lease of a dead process elsewhere expires while this waits; a stand-in sees the claim and gives the lease
   * back.
   * @param onLost called if another process takes the lease.
   * @throws FarmError `gpu_taken`, with the process that holds the lease after `patienceMs`.
   */
  async take(onLost: (holder: LeaseHolder) => void, patienceMs = PATIENCE_MS): Promise<void> {
    const deadlineMs = performance.now() + patienceMs;
    for (let isFirst = true; ; isFirst = false) {
      const left = await this.#holder();
      const holder = await this.#tryTake(left && hasEnded(left) ? left : undefined);
      if (!holder) break;
      const { host, pid } = holder;
      if (isFirst) this.#log.info({ holder: pid, host }, 'waiting for another process to let go of this GPU');
      if (performance.now() > deadlineMs) {
        throw new FarmError('gpu_taken', `${this.#key} is held by process ${pid} on host ${host}`);
      }
      await this.#redis.set(this.#claimKey, this.#value, 'PX', CLAIM_LIFETIME_MS);
      await delay(RETRY_EVERY_MS);
    }
    await this.#redis.del(this.#claimKey);
    this.#keep(onLost);
  }

  /** For a stand-in: takes the lease if it has expired and nobody claims it. Returns whether it did. */
  async takeAbandoned(onLost: (holder: LeaseHolder) => void): Promise<boolean> {
    if ((await this.isClaimed()) || (await this.#tryTake(undefined))) return false;
    this.#keep(onLost);
    return true;
  }

  /** True while the GPU's own worker waits for the lease. */
  async isClaimed(): Promise<boolean> {
    return (await this.#redis.exists(this.#claimKey)) === 1;
  }

  async release(): Promise<void> {
    await this.#renewal?.stop();
    await this.#redis.eval(RELEASE, 1, this.#key, this.#value);
  }

  async #holder(): Promise<LeaseHolder | undefined> {
    const value = await this.#redis.get(this.#key);
    return value === null ? undefined : holderSchema.parse(JSON.parse(value));
  }

  /**
   * Undefined when this process has the lease now, else its holder. A lease with the value `replaceable` is taken over.
   */
  async #tryTake(replaceable: LeaseHolder | undefined): Promise<LeaseHolder | undefined> {
    const aside = replaceable ? JSON.stringify(replaceable) : '';
    const holder = (await this.#redis.eval(TAKE, 1, this.#key, this.#value, LIFETIME_MS, aside)) as string | null;
    return holder === null ? undefined : holderSchema.parse(JSON.parse(holder));
  }

  #keep(onLost: (holder: LeaseHolder) => void): void {
    const renew = async () => {
      // While Redis is unreachable no other process can take the lease.
      const holder = await this.#tryTake(undefined);
      if (!holder) return;
      this.#renewal?.stop().catch(unexpected);
      onLost(holder);
    };
    this.#renewal = repeat(renew, { name: `renew ${this.#key}`, everyMs: RENEW_EVERY_MS, log: this.#log });
  }
}
