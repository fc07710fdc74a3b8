import type { Redis } from 'ioredis';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { liveAliveKey, livePayloadKey } from '../../shared/live/live-payload.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { ALIVE_EVERY_MS, DEAD_AFTER_MS } from '../../shared/process/signs-of-life.ts';
import { ignored } from '../../shared/process/unheard.ts';

/**
 * Sets the key for ARGV[2] ms, or deletes it when that is 0, unless a later attempt has set it. Returns 1 while the
 * request is still wanted: no later attempt has begun, and its payload is there.
 */
const RENEW = `
local held = tonumber(redis.call('GET', KEYS[1]) or '0')
if held > tonumber(ARGV[1]) then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return redis.call('EXISTS', KEYS[2])`;

/**
 * Shows that this process works on a request, and checks once a second whether the work is still wanted. Most requests
 * end within the first second. Where one has opened a direct channel its front end has just said that it is wanted, and
 * looks for a sign of life after a silence of three seconds: so Redis is told of it after the first second only.
 */
export class Liveness {
  readonly #redis: Redis;
  readonly #requestId: string;
  readonly #attempt: number;
  readonly #showing: Repeated;
  #isShown = false;

  /** @param onUnwanted called when a later attempt has taken over, or the client has given up. */
  constructor(
    redis: Redis,
    { requestId, attempt, direct }: Pick<LiveJob, 'requestId' | 'attempt' | 'direct'>,
    onUnwanted: () => void,
    log: RepeatLog,
  ) {
    this.#redis = redis;
    this.#requestId = requestId;
    this.#attempt = attempt;
    const show = async () => {
      this.#isShown = true;
      if (!(await this.#set(DEAD_AFTER_MS))) onUnwanted();
    };
    this.#showing = repeat(show, {
      name: 'show that a live request is alive',
      everyMs: ALIVE_EVERY_MS,
      log,
      first: direct ? 'later' : 'now',
    });
  }

  /** Deletes the key. */
  async stop(): Promise<void> {
    await this.#showing.stop();
    if (this.#isShown) await this.#set(0).catch(ignored('the key runs out by itself within seconds'));
  }

  async #set(lifetimeMs: number): Promise<boolean> {
    const keys = [liveAliveKey(this.#requestId), livePayloadKey(this.#requestId)];
    return (await this.#redis.eval(RENEW, keys.length, ...keys, this.#attempt, lifetimeMs)) === 1;
  }
}
