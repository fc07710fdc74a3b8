import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ignored } from '../../shared/process/unheard.ts';
import type { CutFarm } from '../support/cut-farm.ts';
import type { SmallDisk } from './small-disk.ts';

/** What can go wrong around a render: processes, the line to Redis, Redis itself, the disk. */

export interface ChaosFault {
  readonly name: string;
  /** Begins it, and returns what ends it. */
  readonly begin: () => Promise<() => Promise<void>>;
  /** How long it may last, in s. */
  readonly longestS: number;
}

const WORKERS = ['media', 'gpu-0', 'gpu-1'] as const;
const DOORS = ['api', ...WORKERS] as const;
const PROCESSES = [...DOORS, 'redis'] as const;
/** Frozen for longer, a process is killed by who supervises it. */
const FROZEN_S = 12;
const HOLE_S = 15;
const REFUSES_S = 6;
/** Above the time-out of the front end's commands. */
const SLOW_MS = 2000;
const SLIGHTLY_SLOW_MS = 300;
const REDIS_BACK_WITHIN_MS = 60_000;
/** The judge of lost answers loses one in so many. */
const LOST_ONE_IN = 15;

const nothing = async () => {};

/** Every fault that this farm can have, by what breaks. `disk` is absent where none can be mounted. */
export function chaosFaults(farm: CutFarm, disk: SmallDisk | undefined, random: () => number): ChaosFault[][] {
  return [
    PROCESSES.flatMap((name) => processFaults(farm, name)),
    [...DOORS.flatMap((door) => lineFaults(farm, [door], door)), ...lineFaults(farm, DOORS, 'everybody')],
    [...redisFaults(farm), lostAnswers(farm, random)],
    disk ? diskFaults(disk) : [],
  ];
}

/** Process id by name, that of Redis included; undefined while it is being started. */
export async function pidOf(farm: CutFarm, name: string): Promise<number | undefined> {
  if (name !== 'redis') return farm.pids.get(name);
  const text = await readFile(path.join(farm.folder, 'redis', 'redis.pid'), 'utf8');
  return (JSON.parse(text) as { pid: number }).pid;
}

function processFaults(farm: CutFarm, name: string): ChaosFault[] {
  const signal = async (kind: NodeJS.Signals) => {
    const pid = await pidOf(farm, name);
    if (pid !== undefined) send(pid, kind);
    return pid;
  };
  const once = (kind: NodeJS.Signals) => async () => {
    await signal(kind);
    return nothing;
  };
  const freeze = async () => {
    const pid = await signal('SIGSTOP');
    return async () => {
      if (pid !== undefined) send(pid, 'SIGCONT');
    };
  };
  return [
    { name: `kill -9 ${name}`, begin: once('SIGKILL'), longestS: 0 },
    { name: `SIGTERM ${name}`, begin: once('SIGTERM'), longestS: 0 },
    { name: `SIGSTOP ${name}`, begin: freeze, longestS: FROZEN_S },
  ];
}

function send(pid: number, kind: NodeJS.Signals): void {
  try {
    process.kill(pid, kind);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function lineFaults({ proxy }: CutFarm, doors: readonly string[], who: string): ChaosFault[] {
  const begin = (change: (door: string) => void) => async () => {
    doors.forEach(change);
    return async () => doors.forEach((door) => void proxy.line(door).open());
  };
  const cut = async () => {
    for (const door of doors) proxy.cut(door);
    return nothing;
  };
  return [
    { name: `connections of ${who} cut`, begin: cut, longestS: 0 },
    { name: `line of ${who} dead`, begin: begin((door) => proxy.line(door).close()), longestS: HOLE_S },
    { name: `answers to ${who} held`, begin: begin((door) => proxy.line(door).close(['answers'])), longestS: HOLE_S },
    { name: `line of ${who} slow`, begin: begin((door) => proxy.line(door).slow(SLOW_MS)), longestS: HOLE_S },
    {
      name: `line of ${who} a little slow`,
      begin: begin((door) => proxy.line(door).slow(SLIGHTLY_SLOW_MS)),
      longestS: HOLE_S,
    },
  ];
}

function redisFaults(farm: CutFarm): ChaosFault[] {
  const commands = (...[begin, end]: [string[], string[]]) => ({
    begin: async () => {
      await order(farm.redisUrl, begin, REFUSES_S * 1000).catch(ignored('it has another fault now'));
      return async () => await order(farm.redisUrl, end, REDIS_BACK_WITHIN_MS);
    },
    longestS: REFUSES_S,
  });
  const set = (name: string, to: string, back: string) =>
    commands(['CONFIG', 'SET', name, to], ['CONFIG', 'SET', name, back]);
  return [
    { name: 'Redis out of memory', ...set('maxmemory', '1', '0') },
    { name: 'Redis without replicas', ...set('min-replicas-to-write', '1', '0') },
    // The master that it is told to follow is not there: it keeps what it has, and takes no writes.
    { name: 'Redis demoted', ...commands(['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']) },
    {
      name: 'writes held back',
      ...commands(['CLIENT', 'PAUSE', String(REFUSES_S * 1000), 'WRITE'], ['CLIENT', 'UNPAUSE']),
    },
  ];
}

/** Tells Redis until it has answered. */
async function order(redisUrl: string, [name = '', ...args]: readonly string[], withinMs: number): Promise<void> {
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null, connectTimeout: 1000 });
  redis.on('error', ignored('it has another fault now, and is asked again'));
  try {
    const late = delay(withinMs, undefined, { ref: false }).then(() =>
      Promise.reject(new Error(`No answer to ${name}`)),
    );
    await Promise.race([redis.call(name, ...args), late]);
  } finally {
    redis.disconnect();
  }
}

function lostAnswers({ proxy }: CutFarm, random: () => number): ChaosFault {
  const begin = async () => {
    proxy.judge = () => random() < 1 / LOST_ONE_IN;
    return async () => {
      proxy.judge = () => false;
    };
  };
  return { name: `one answer in ${LOST_ONE_IN} lost`, begin, longestS: REFUSES_S };
}

function diskFaults(disk: SmallDisk): ChaosFault[] {
  return [
    { name: 'disk full', begin: async () => await disk.fill(), longestS: HOLE_S },
    { name: 'disk read-only', begin: async () => await disk.makeReadOnly(), longestS: HOLE_S },
  ];
}
