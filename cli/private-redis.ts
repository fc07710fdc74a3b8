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

/** A Redis that belongs to one farm: loopback only, append-only file on, nothing evicted. */
export class PrivateRedis {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #pidPath: string;

  private constructor(url: string, child: ChildProcess, pidPath: string) {
    this.url = url;
    this.#child = child;
    this.#pidPath = pidPath;
  }

  /** Starts redis-server with its data in `folder`. FarmError('dependency_missing') when it is not installed. */
  static async start(folder: string): Promise<PrivateRedis> {
    await mkdir(folder, { recursive: true });
    const pidPath = pidPathOf(folder);
    await stopLeftoverRedis(folder);
    const port = await freePort();
    const child = spawn('redis-server', redisArguments(port, folder), {
      // A process group of its own: Ctrl-C in a terminal must reach the workers first.
      detached: true,
      stdio: 'ignore',
    });
    const failed = once(child, 'exit').then(([code]) => {
      throw new FarmError(
        'redis_unavailable',
        `redis-server ended at once (exit code ${code}); see ${folder}/redis.log`,
      );
    });
    // Its end is a failure only as long as its start is waited for.
    failed.catch(() => {});
    await Promise.race([once(child, 'spawn'), once(child, 'error').then(([error]) => Promise.reject(missing(error)))]);
    await writeFile(pidPath, JSON.stringify(identityOf(child.pid ?? 0)));
    const url = `redis://127.0.0.1:${port}`;
    const probe = workerConnection(url);
    try {
      await Promise.race([waitUntilReady(probe, START_TIMEOUT_MS), failed]);
    } finally {
      probe.disconnect();
    }
    return new PrivateRedis(url, child, pidPath);
  }

  /** Lets Redis write what it holds and end. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      await ended;
    }
    await rm(this.#pidPath, { force: true });
  }
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
