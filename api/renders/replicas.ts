import type { Redis } from 'ioredis';
import type { Logger } from '../../shared/process/log.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { RedisUnavailable } from '../../shared/redis/outcome.ts';

const MARK_KEY = `${KEY_PREFIX}:replicated`;
const MARK_LIFETIME_MS = 60_000;
/** Less than a command may take on a front end's connection. */
const WAIT_MS = 1000;

/**
 * Waits until a replica has what Redis has taken. Sentinels and clusters replicate after the answer, so that a primary
 * that dies takes along what nobody else has got yet.
 */
export class Replicas {
  readonly #redis: Redis;
  readonly #log: Logger;
  #marks = 0;
  #isBehind = false;
  #last: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** @param redis a connection of its own: everything else on it would wait, too. */
  constructor(redis: Redis, log: Logger) {
    this.#redis = redis;
    this.#log = log;
  }

  /**
   * Resolves when a replica has everything that Redis had answered before this call. After a second without, it does as
   * well, and the log says so: whether the farm goes on without replicas is for `min-replicas-to-write` to say.
   * @throws RedisUnavailable when nobody knows: what was written may be gone.
   */
  async haveAll(): Promise<void> {
    const { stream } = this.#redis;
    this.#next ??= this.#ask(this.#last);
    await this.#next;
    // ioredis asks again at the new primary, which knows nothing of what the one before had taken.
    if (this.#redis.stream !== stream) throw new RedisUnavailable('Redis was another one meanwhile', true);
  }

  /** @param last the question before: it came too early for what was written since. */
  async #ask(last: Promise<void> | undefined): Promise<void> {
    await last?.catch(ignored('whoever asked it is told'));
    [this.#last, this.#next] = [this.#next, undefined];
    try {
      // WAIT counts from the last write of its own connection.
      await this.#redis.set(MARK_KEY, String(++this.#marks), 'PX', MARK_LIFETIME_MS);
      this.#note(await this.#redis.wait(1, WAIT_MS));
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      throw new RedisUnavailable(error.message, true, { cause: error });
    }
  }

  #note(replicas: number): void {
    const isBehind = replicas === 0;
    if (isBehind && !this.#isBehind) {
      this.#log.warn('no replica of Redis has what was taken a second ago: it would be lost with the primary');
    }
    if (!isBehind && this.#isBehind) this.#log.info('a replica of Redis has everything again');
    this.#isBehind = isBehind;
  }
}
