import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../shared/errors.ts';
import {
  hasEnded,
  identityOf,
  isSurelyAlive,
  type ProcessIdentity,
  processIdentitySchema,
} from '../shared/process/process-life.ts';
import { waitUntilReady, workerConnection } from '../shared/redis.ts';

const START_TIMEOUT_MS = 15_000;
const LOOK_EVERY_MS = 50;
const RESTART_AFTER_MS = 500;

/** A Redis that belongs to one farm: loopback only, append-only file on, nothing evicted; started again when it ends. */
export class PrivateRedis {
  readonly url: string;
  readonly #place: RedisPlace;
  readonly #say: (line: string) => void;
  readonly #stopping = new AbortController();
  readonly #kept: Promise<void>;
  #child: ChildProcess;

  private constructor(place: RedisPlace, child: ChildProcess, say: (line: string) => void) {
    this.url = urlOf(place);
    this.#place = place;
    this.#child = child;
    this.#say = say;
    this.#kept = this.#keepAlive();
  }

  /**
   * Starts redis-server with its data in `folder`. `say` is told when it ends by itself. FarmError('dependency_missing')
   * when it is not installed.
   */
  static async start(folder: string, say: (line: string) => void = () => {}): Promise<PrivateRedis> {
    await mkdir(folder, { recursive: true });
    await stopLeftoverRedis(folder);
    const place = { folder, port: await freePort() };
    return new PrivateRedis(place, await launch(place), say);
  }

  /** Lets Redis write what it holds and end. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#child.kill('SIGTERM');
    await this.#kept;
    await rm(pidPathOf(this.#place.folder), { force: true });
  }

  /** On the same port and files, so that workers and front end, which wait for it, go on where they were. */
  async #keepAlive(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      if (!isOver(this.#child)) await once(this.#child, 'exit');
      if (signal.aborted) return;
      this.#say(`redis ended unexpectedly; starting it again in ${RESTART_AFTER_MS} ms`);
      await delay(RESTART_AFTER_MS, undefined, { signal }).catch(() => {}); // Told to stop.
      if (signal.aborted) return;
      try {
        this.#child = await launch(this.#place);
        this.#say('redis runs again');
      } catch (error) {
        this.#say((error as Error).message);
      }
      if (signal.aborted) this.#child.kill('SIGTERM');
    }
  }
}

interface RedisPlace {
  readonly folder: string;
  readonly port: number;
}

const urlOf = ({ port }: RedisPlace) => `redis://127.0.0.1:${port}`;

const isOver = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null;

/** A redis-server that answers; one that does not in time is ended. */
async function launch(place: RedisPlace): Promise<ChildProcess> {
  const { folder, port } = place;
  const child = spawn('redis-server', redisArguments(port, folder), {
    // A process group of its own: Ctrl-C in a terminal must reach the workers first.
    detached: true,
    stdio: 'ignore',
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new FarmError('redis_unavailable', `redis-server ended at once (exit code ${code}); see ${folder}/redis.log`);
  });
  // Its end is a failure only as long as its start is waited for.
  failed.catch(() => {});
  await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(missing(error)))]);
  await writeFile(pidPathOf(folder), JSON.stringify(identityOf(child.pid ?? 0)));
  const probe = workerConnection(urlOf(place));
  try {
    await Promise.race([waitUntilReady(probe, START_TIMEOUT_MS), failed]);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    probe.disconnect();
  }
  return child;
}

function redisArguments(port: number, folder: string): string[] {
  return [
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
  while (!hasEnded(leftover)) await delay(LOOK_EVERY_MS);
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

/** A TCP port that is free on loopback now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('No TCP port was assigned');
  return address.port;
}
