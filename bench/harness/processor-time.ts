import { readFile } from 'node:fs/promises';
import type { Redis } from 'ioredis';

/** Processor time of other processes, from outside. Linux only. */

/** Ticks a second in /proc: fixed for programs, whatever the kernel counts in. */
const TICKS_PER_S = 100;
/** Fields of /proc/PID/stat, counted from the state, which follows the name. */
const USER = 11;
const SYSTEM = 12;
const CHILDREN_USER = 13;
const CHILDREN_SYSTEM = 14;

/** Milliseconds that the processes have used, with all children that have ended and been waited for. */
export async function processorMs(pids: Iterable<number>): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    for (const field of [USER, SYSTEM, CHILDREN_USER, CHILDREN_SYSTEM]) ticks += await fieldOf(pid, field);
  }
  return (ticks * 1000) / TICKS_PER_S;
}

/** Milliseconds that programs have used which this process started and which have ended. */
export async function childrenMs(): Promise<number> {
  const [user, system] = [await fieldOf(process.pid, CHILDREN_USER), await fieldOf(process.pid, CHILDREN_SYSTEM)];
  return ((user + system) * 1000) / TICKS_PER_S;
}

/** Milliseconds that a Redis has used. */
export async function redisMs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map(([, value]) => Number(value));
  return 1000 * seconds.reduce((sum, value) => sum + value, 0);
}

async function fieldOf(pid: number, field: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  // The name stands in brackets and may hold anything.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field]);
}
