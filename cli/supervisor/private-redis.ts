import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { Patience } from '../../shared/process/patience.ts';
import {
  hasEnded,
  identityOf,
  isSurelyAlive,
  type ProcessIdentity,
  processIdentitySchema,
} from '../../shared/process/process-life.ts';
import { ignored } from '../../shared/process/unheard.ts';
import type { ProcessState } from '../../shared/views/process-view.ts';
import { RedisPulse } from './redis-pulse.ts';
import { describeEnd, RestartWaits } from './restart-waits.ts';

const PASSWORD_BYTES = 24;
const LOOK_EVERY_MS = 50;
/**
 * Without an answer for so long it hangs, or was stopped. Nothing that Redis does by itself keeps it from answering for
 * a part of this: while it reads its files it answers that it does, and a slow disk holds it up for a few seconds.
 */
const SILENT_AFTER_MS = 30_000;
/** Redis writes what it holds when it is told to end, which takes a moment. */
const END_WITHIN_MS = 15_000;
const NAME = 'redis';

export interface RedisListeners {
  /** Told in words when it ends by itself, and when it runs again. */
  readonly say?: (line: string) => void;
  /** Told how it is, whenever that changes. */
  readonly onState?: (state: ProcessState) => void;
  /** Milliseconds without an answer after which it is ended and started again. */
  readonly silentAfterMs?: number;
}

/**
 * A Redis that belongs to one farm: loopback only, append-only file on, nothing evicted. It is started again when it
 * ends, and when it does not answer.
 */
export class PrivateRedis {
  readonly url: string;
  readonly #place: RedisPlace;
  readonly #listeners: RedisListeners;
  readonly #stopping = new AbortController();
  readonly #waits = new RestartWaits();
  readonly #kept: Promise<void>;
  #child: ChildProcess;

  private constructor(place: RedisPlace, child: ChildProcess, listeners: RedisListeners) {
    this.url = `redis://:${place.password}@127.0.0.1:${place.port}`;
    this.#place = place;
    this.#child = child;
    this.#listeners = listeners;
    this.#kept = this.#keepAlive();
  }

  /** Starts redis-server with its data in `folder`. FarmError('dependency_missing') when it is not installed. */
  static async start(folder: string, listeners: RedisListeners = {}): Promise<PrivateRedis> {
    await mkdir(folder, { recursive: true });
    await stopLeftoverRedis(folder);
    const place = { folder, port: await freePort(), password: randomBytes(PASSWORD_BYTES).toString('base64url') };
    return new PrivateRedis(place, await launch(place), listeners);
  }

  /** Lets Redis write what it holds and end; one that does not end in 15 s is killed. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), END_WITHIN_MS);
    this.#child.kill('SIGTERM');
    await this.#kept;
    clearTimeout(killer);
    await rm(pidPathOf(this.#place.folder), { force: true });
  }

  /** On the same port and files, so that workers and front end, which wait for it, go on where they were. */
  async #keepAlive(): Promise<void> {
    const { signal } = this.#stopping;
    this.#enter('running', null);
    for (;;) {
      const startedMs = performance.now();
      const how = await this.#ended();
      if (signal.aborted || !(await this.#again(how, performance.now() - startedMs))) return;
    }
  }

  /** Resolves to how it has ended, in words. */
  async #ended(): Promise<string> {
    const { silentAfterMs = SILENT_AFTER_MS } = this.#listeners;
    const child = this.#child;
    let fault: string | undefined;
    const patience = new Patience(silentAfterMs, () => {
      fault = `it did not answer for ${silentAfterMs / 1000} s`;
      child.kill('SIGKILL');
    });
    const pulse = new RedisPulse(this.#place, () => patience.renew());
    if (!isOver(child)) await once(child, 'exit');
    pulse.stop();
    patience.stop();
    return fault ?? howItEnded(child);
  }

  /** True when it runs again, false when it is to stop. */
  async #again(how: string, ranMs: number): Promise<boolean> {
    const { signal } = this.#stopping;
    let lastEnd = how;
    for (let lastedMs = ranMs; ; lastedMs = 0) {
      const waitMs = this.#waits.next(lastedMs);
      this.#enter('waiting', lastEnd);
      this.#listeners.say?.(describeEnd(NAME, lastEnd, this.#waits, waitMs));
      await delay(waitMs, undefined, { signal }).catch(ignored('told to stop'));
      if (signal.aborted) return false;
      try {
        this.#child = await launch(this.#place);
        if (signal.aborted) this.#child.kill('SIGTERM');
        this.#enter('running', lastEnd);
        this.#listeners.say?.('redis runs again');
        return true;
      } catch (error) {
        lastEnd = (error as Error).message;
      }
    }
  }

  #enter(state: ProcessState['state'], lastEnd: string | null): void {
    this.#listeners.onState?.({ name: NAME, state, restarts: this.#waits.inARow, last_end: lastEnd });
  }
}

interface RedisPlace {
  readonly folder: string;
  readonly port: number;
  /** Other users of this machine reach its port as well. */
  readonly password: string;
}

const isOver = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

function howItEnded({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ? `by ${signalCode}` : `exit code ${exitCode}`;
}

/** A redis-server that answers, however long it reads its files; one that says nothing at all is ended. */
async function launch(place: RedisPlace): Promise<ChildProcess> {
  const { folder, port, password } = place;
  const child = spawn('redis-server', redisArguments(port, folder), {
    // A process group of its own: Ctrl-C in a terminal must reach the workers first.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Everybody may read the arguments of a process.
  child.stdin.on('error', ignored('a process that does not take it ends, and its end says why'));
  child.stdin.end(`requirepass ${password}\n`);
  const failed = once(child, 'exit').then(([code]) => {
    throw new FarmError('redis_unavailable', `redis-server ended at once (exit code ${code}); see ${folder}/redis.log`);
  });
  failed.catch(ignored('its end is a failure only as long as its start is waited for'));
  await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(missing(error)))]);
  await writeFile(pidPathOf(folder), JSON.stringify(identityOf(child.pid ?? 0)));
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const patience = new Patience(SILENT_AFTER_MS, () =>
    reject(new FarmError('redis_unavailable', `redis-server did not answer on port ${port}; see ${folder}/redis.log`)),
  );
  const pulse = new RedisPulse(place, (answer) => (answer.startsWith('-LOADING') ? patience.renew() : resolve()));
  try {
    await Promise.race([ready, failed]);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    pulse.stop();
    patience.stop();
  }
  return child;
}

function redisArguments(port: number, folder: string): string[] {
  return [
    // Reads what else there is to its configuration from its standard input.
    '-',
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--logfile', path.join(folder, 'redis.log')],
    ...['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', '', '--maxmemory-policy', 'noeviction'],
  ];
}

const pidPathOf = (folder: string) => path.join(folder, 'redis.pid');

/**
 * Ends the Redis of a farm that was killed, if it still runs in `folder`: a second one on the same files would spoil
 * them. Returns whether there was one.
 */
export async function stopLeftoverRedis(folder: string): Promise<boolean> {
  const leftover = await readPidFile(folder);
  if (!leftover || !isSurelyAlive(leftover)) return false;
  process.kill(leftover.pid, 'SIGTERM');
  const killAtMs = performance.now() + END_WITHIN_MS;
  while (!hasEnded(leftover)) {
    if (performance.now() > killAtMs && isSurelyAlive(leftover)) process.kill(leftover.pid, 'SIGKILL');
    await delay(LOOK_EVERY_MS);
  }
  await rm(pidPathOf(folder), { force: true });
  return true;
}

async function readPidFile(folder: string): Promise<ProcessIdentity | undefined> {
  try {
    return processIdentitySchema.parse(JSON.parse(await readFile(pidPathOf(folder), 'utf8')));
  } catch {
    return undefined; // None, or not ours.
  }
}

function missing(error: NodeJS.ErrnoException): FarmError {
  const reason = error.code === 'ENOENT' ? 'redis-server was not found on PATH' : error.message;
  return new FarmError('dependency_missing', reason, { cause: error });
}

/**
 * Ports below those that Linux and macOS give to outgoing connections: of these, any process that connects somewhere
 * could get one before its listener has it.
 */
const LISTENERS_PORTS = { first: 20_000, count: 12_000 };
const PORT_TRIES = 50;

/** A TCP port that is free on loopback now. */
export async function freePort(): Promise<number> {
  for (let tried = 0; tried < PORT_TRIES; tried++) {
    const port = LISTENERS_PORTS.first + randomInt(LISTENERS_PORTS.count);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`None of ${PORT_TRIES} TCP ports on loopback was free`);
}
