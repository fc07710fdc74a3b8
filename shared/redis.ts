import { Redis, type RedisOptions } from 'ioredis';
import { FarmError } from './errors.ts';

/** Every key of the farm carries this hash tag, so that a cluster keeps them in one slot. BullMQ uses it as prefix. */
export const KEY_PREFIX = '{farm}';

/** How long a producer waits for one answer before it says that Redis is unavailable. */
const COMMAND_TIMEOUT_MS = 1500;
const RECONNECT_MAX_MS = 1000;
const OLDEST_REDIS = { major: 6, minor: 2 };

const shared: RedisOptions = {
  retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), RECONNECT_MAX_MS),
  enableReadyCheck: true,
};

/** For processes that answer somebody: a command fails fast while Redis is away. */
export function producerConnection(url: string): Redis {
  return quiet(
    new Redis(url, {
      ...shared,
      enableOfflineQueue: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      connectTimeout: COMMAND_TIMEOUT_MS,
      maxRetriesPerRequest: 1,
    }),
  );
}

/** For workers: commands wait until Redis is back. */
export function workerConnection(url: string): Redis {
  return quiet(new Redis(url, { ...shared, maxRetriesPerRequest: null }));
}

/** For blocking reads, to the same Redis. Unlike a producer's connection it takes commands before it is connected. */
export function readerConnection(redis: Redis): Redis {
  return quiet(redis.duplicate({ enableOfflineQueue: true }));
}

/** Connection faults reach the callers as rejected commands; the event must have a listener or it ends the process. */
function quiet(redis: Redis): Redis {
  redis.on('error', () => {});
  return redis;
}

/** Waits until `redis` answers; FarmError('redis_unavailable') after `timeoutMs`. */
export async function waitUntilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  const ready = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    const { host, port } = redis.options;
    ready.reject(new FarmError('redis_unavailable', `No Redis answered at ${host}:${port} within ${timeoutMs} ms`));
  }, timeoutMs);
  redis.once('ready', ready.resolve);
  try {
    await ready.promise;
  } finally {
    clearTimeout(timer);
    redis.off('ready', ready.resolve);
  }
}

/** What speaks against this Redis: too old, or allowed to throw queued work away. Empty when it is fit. */
export async function findRedisProblems(redis: Redis): Promise<string[]> {
  const info = await redis.info();
  const version = /redis_version:(\S+)/.exec(info)?.[1] ?? '0.0';
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'noeviction';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const problems: string[] = [];
  if (major < OLDEST_REDIS.major || (major === OLDEST_REDIS.major && minor < OLDEST_REDIS.minor)) {
    problems.push(`Redis ${version} is too old; the farm needs ${OLDEST_REDIS.major}.${OLDEST_REDIS.minor} or newer`);
  }
  if (policy !== 'noeviction') {
    problems.push(`maxmemory-policy is ${policy}, which can throw queued jobs away; set it to noeviction`);
  }
  return problems;
}

/** FarmError('redis_unavailable') if the error says that Redis is away, else undefined. */
export function asRedisFault(error: unknown): FarmError | undefined {
  if (!(error instanceof Error) || !isRedisFault(error)) return undefined;
  return new FarmError('redis_unavailable', `Redis does not answer: ${error.message}`, { cause: error });
}

/** ioredis has no error class for a connection that is away; these are the forms in which it says so. */
function isRedisFault(error: Error): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return (
    code === 'ECONNREFUSED' ||
    code === 'ECONNRESET' ||
    error.name === 'MaxRetriesPerRequestError' ||
    /^(Command timed out|Connection is closed|Stream isn't writeable)/.test(error.message)
  );
}
