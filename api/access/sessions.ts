import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Redis } from 'ioredis';
import { hashApiKey } from '../../shared/api-keys.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import type { Access } from './access.ts';
import type { Caller } from './caller.ts';

/** How long a browser stays signed in. */
export const SESSION_SECONDS = 12 * 3600;
const TOKEN_BYTES = 32;
const TOKEN = /^[\w-]{43}$/;

/**
 * Sessions of browsers, in Redis, so that each works at every front end and ends there when its key is removed. The
 * browser alone has the token: Redis holds a hash of it, and beside that a mark which fits nothing but this token and the
 * key that opened the session.
 */
export class Sessions {
  readonly #redis: Redis;
  readonly #access: Access;

  constructor(redis: Redis, access: Access) {
    this.#redis = redis;
    this.#access = access;
  }

  /** Opens a session for a key that was found valid; returns its token. */
  async open(key: string): Promise<string> {
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    await this.#redis.set(redisKey(token), markOf(token, hashApiKey(key)), 'EX', SESSION_SECONDS);
    return token;
  }

  /** Whose session it is; undefined when it has ended, or its key is no longer valid. */
  async find(token: string): Promise<Caller | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const mark = await this.#redis.get(redisKey(token));
    if (mark === null) return undefined;
    return this.#access.callerWith((sha256) => timingSafeEqual(Buffer.from(mark), Buffer.from(markOf(token, sha256))));
  }

  async close(token: string): Promise<void> {
    if (TOKEN.test(token)) await this.#redis.del(redisKey(token));
  }
}

function redisKey(token: string): string {
  return `${KEY_PREFIX}:session:${createHash('sha256').update(token).digest('hex')}`;
}

function markOf(token: string, keySha256: string): string {
  return createHmac('sha256', token).update(keySha256).digest('hex');
}
