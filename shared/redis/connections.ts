import { type Command, Redis, type RedisOptions, ReplyError } from 'ioredis';
import { FarmError } from '../errors/farm-error.ts';
import { gatherWrites } from '../process/gathered-writes.ts';
import { logged } from '../process/unheard.ts';
import { type RedisAddress, readGuidedAddress, tlsOptions } from './address.ts';
import { RedisUnavailable } from './outcome.ts';
import { nameOfPrimary, primaryConnector } from './primary-connector.ts';

/** How long a producer waits for one answer before it says that Redis is unavailable. */
const COMMAND_TIMEOUT_MS = 1500;
/** The slowest that pictures travel to a Redis that is well, on a busy machine: 10 MB/s. */
const SLOWEST_BYTES_PER_MS = 10_000;
const RECONNECT_MAX_MS = 1000;

const shared: RedisOptions = {
  retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), RECONNECT_MAX_MS),
  enableReadyCheck: true,
  // The name of a library: a command that servers before 7.2 do not know.
  disableClientInfo: true,
};

/**
 * Answers of a Redis that runs and cannot serve now, by the word with which its protocol begins them. Redis 6 puts a
 * text of its own before it when the answer came to a script. EXECABORT: a command of a transaction was refused so.
 */
const NOT_NOW =
  /(?:^|^ERR Error running script.* -)(?:LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|READONLY|UNBLOCKED|NOREPLICAS|MISCONF|OOM|NOAUTH|WRONGPASS|NOPERM|EXECABORT) /;
/**
 * Answers of one that was made the copy of another, of a node of a cluster that is not the one to ask or cannot know
 * whether it is, and of one that does not know this connection any more.
 */
const LOST = /(?:^|^ERR Error running script.* -)(?:READONLY|UNBLOCKED|MASTERDOWN|CLUSTERDOWN|MOVED|NOAUTH|WRONGPASS) /;
/** A connection to such a one is given up this often, at most. */
const LEAVE_EVERY_MS = 1000;
/** What ioredis says to the commands that wait, when it is not let in. */
const NOT_LET_IN = 'Ready check failed: ';

/** True for an answer by which Redis refused a command because of its own state: then nothing was changed. */
function isRefusal(error: unknown): boolean {
  return error instanceof ReplyError && NOT_NOW.test((error as Error).message);
}

/**
 * A connection that is made again when Redis was made a copy, since its address may lead to the new primary by now, and
 * when Redis does not know it any more, since the password may be right again. It ends when it is told to, in whatever
 * state it is.
 */
class FarmRedis extends Redis {
  #leftAtMs = Number.NEGATIVE_INFINITY;
  readonly #unanswered = new Set<Command>();

  override sendCommand(...args: Parameters<Redis['sendCommand']>): unknown {
    if (this.status === 'ready') gatherWrites(this.stream);
    return super.sendCommand(...args);
  }

  /** Keeps `command` until it has an answer. Called again for one that had none when the connection was lost. */
  protected follow(command: Command): void {
    if (this.#unanswered.has(command)) return;
    this.#unanswered.add(command);
    const { resolve, reject } = command;
    command.resolve = (answer) => {
      this.#unanswered.delete(command);
      resolve(answer);
    };
    command.reject = (error) => {
      this.#unanswered.delete(command);
      reject(error);
    };
  }

  /** Called with every error of a command. */
  protected leaveIfLost({ message }: Error): void {
    if (!LOST.test(message) || performance.now() - this.#leftAtMs < LEAVE_EVERY_MS) return;
    this.#leftAtMs = performance.now();
    this.disconnect(true);
  }

  /**
   * ioredis ends nothing while it waits to connect again, and forgets commands that were under way before: whoever waits
   * for either would wait for ever. A connection that was never begun it ends at once.
   */
  override disconnect(reconnect = false): void {
    if (!reconnect) {
      this.once('end', () => {
        for (const command of [...this.#unanswered]) command.reject(new Error('Connection is closed.'));
      });
      if (this.status === 'reconnecting') this.status = 'wait';
    }
    super.disconnect(reconnect);
  }
}

/** What is known of a command on its way. */
interface Passage {
  /** False as long as it surely has not been sent. */
  sent: boolean;
  /** True when its caller has been told how it went. */
  over: boolean;
}

/**
 * A connection whose commands say where a failure arose: whatever keeps one from being answered is RedisUnavailable,
 * which says whether the command may have run all the same. An answer that speaks of the command itself stays as it
 * is: it is a fault of the farm.
 */
class ProducerRedis extends FarmRedis {
  /** Bytes of the commands that have no answer yet. Whatever is sent after them waits for them. */
  #bytesOnTheWay = 0;
  readonly #passages = new WeakMap<Command, Passage>();

  /** Called again for a command that had no answer when the connection was lost. */
  override sendCommand(...[command, ...rest]: Parameters<Redis['sendCommand']>): unknown {
    const passage = this.#passages.get(command) ?? this.#watch(command);
    // Its caller has gone on, and must not be overtaken by it. A part of a transaction cannot be left out of it.
    if (passage.over && command.pipelineIndex === undefined) return command.promise;
    this.#allowForBytes(command);
    const answer = super.sendCommand(command, ...rest);
    // What cannot be sent was rejected by now.
    passage.sent = true;
    return answer;
  }

  /** Every way in which a command can fail ends in its `reject`: time-outs, lost connections, pipelines, scripts. */
  #watch(command: Command): Passage {
    this.follow(command);
    const passage = { sent: false, over: false };
    this.#passages.set(command, passage);
    const { reject } = command;
    command.reject = (error) => {
      passage.over = true;
      this.leaveIfLost(error);
      reject(isOfRedis(error) ? unavailable(error, passage) : error);
    };
    return passage;
  }

  /** The time-out of a command grows with what is on the way before it: a request may bring 79 MB of pictures. */
  #allowForBytes(command: Command): void {
    const { commandTimeout } = this.options;
    if (commandTimeout === undefined) return;
    const bytes = command.args.reduce<number>((sum, arg) => sum + (Buffer.isBuffer(arg) ? arg.length : 0), 0);
    this.#bytesOnTheWay += bytes;
    command.setTimeout(commandTimeout + this.#bytesOnTheWay / SLOWEST_BYTES_PER_MS);
    if (bytes === 0) return;
    const arrived = () => {
      this.#bytesOnTheWay -= bytes;
    };
    command.promise.then(arrived, arrived);
  }

  override duplicate(override?: Partial<RedisOptions>): Redis {
    return new ProducerRedis({ ...this.options, ...override });
  }
}

/**
 * A worker's connection: it waits for Redis, and sends what had no answer again. Only a transaction of which some answers
 * had come cannot be sent again: it fails with RedisUnavailable, and may have run. What Redis refuses because of its own
 * state fails with it too, and has not run.
 */
class WorkerRedis extends FarmRedis {
  override sendCommand(...[command, ...rest]: Parameters<Redis['sendCommand']>): unknown {
    this.follow(command);
    const { reject } = command;
    command.reject = (error) => {
      this.leaveIfLost(error);
      const isOfRedis = error.name === 'AbortError' || isRefusal(error) || error.message.startsWith(NOT_LET_IN);
      reject(isOfRedis ? unavailable(error, { sent: true, over: true }) : error);
    };
    return super.sendCommand(command, ...rest);
  }

  override duplicate(override?: Partial<RedisOptions>): Redis {
    return new WorkerRedis({ ...this.options, ...override });
  }
}

function isOfRedis(error: Error): boolean {
  if (error instanceof FarmError) return false;
  return !(error instanceof ReplyError) || isRefusal(error);
}

function unavailable(cause: Error, { sent }: Passage): RedisUnavailable {
  if (isRefusal(cause)) return new RedisUnavailable(`Redis refuses to work: ${cause.message}`, false, { cause });
  // What ioredis says of a command that has no connection to go out on names its own options.
  const reason = cause.message.startsWith("Stream isn't writeable") ? 'there is no connection to it' : cause.message;
  return new RedisUnavailable(`Redis does not answer: ${reason}`, sent, { cause });
}

/** An address, or a URL alone. Everything that speaks to Redis takes one of these. */
export type RedisPlace = string | RedisAddress;

/** What ioredis takes: a URL for one server, else none and who finds the server. */
function connectionTo(place: RedisPlace): [string | undefined, RedisOptions] {
  const address = typeof place === 'string' ? { url: place } : place;
  const tls = tlsOptions(address);
  const options = { ...shared, ...(tls ? { tls } : {}) };
  const guided = readGuidedAddress(address.url);
  if (!guided) return [address.url, options];
  const { username, password, db } = guided;
  return [undefined, { ...options, username, password, db, Connector: primaryConnector(address) }];
}

/**
 * For processes with clients: a command fails fast while Redis is away, with RedisUnavailable.
 */
export function producerConnection(place: RedisPlace): Redis {
  const [url, options] = connectionTo(place);
  const impatient = {
    ...options,
    enableOfflineQueue: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: COMMAND_TIMEOUT_MS,
    maxRetriesPerRequest: 1,
  };
  return quiet(url === undefined ? new ProducerRedis(impatient) : new ProducerRedis(url, impatient));
}

/** For workers: commands wait until Redis is back. */
export function workerConnection(place: RedisPlace): Redis {
  const [url, options] = connectionTo(place);
  const patient = { ...options, maxRetriesPerRequest: null };
  return quiet(url === undefined ? new WorkerRedis(patient) : new WorkerRedis(url, patient));
}

/** For blocking reads, to the same Redis. Unlike a producer's connection it takes commands before it is connected. */
export function readerConnection(redis: Redis): Redis {
  return quiet(redis.duplicate({ enableOfflineQueue: true }));
}

/** Connection faults reach the callers as commands that reject, or wait. Without a listener the event ends the process. */
function quiet(redis: Redis): Redis {
  redis.on('error', logged('the connection to Redis failed, and is made again'));
  return redis;
}

/** Waits until `redis` answers; FarmError('redis_unavailable') after `timeoutMs`. */
export async function waitUntilReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  const ready = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    const { host, port, Connector } = redis.options;
    const name = nameOfPrimary(Connector) ?? `${host}:${port}`;
    ready.reject(new FarmError('redis_unavailable', `No Redis answered at ${name} within ${timeoutMs} ms`));
  }, timeoutMs);
  redis.once('ready', ready.resolve);
  try {
    await ready.promise;
  } finally {
    clearTimeout(timer);
    redis.off('ready', ready.resolve);
  }
}
