import { readFileSync, writeFileSync } from 'node:fs';
import type { Redis } from 'ioredis';

/** CPU and memory of other processes, read from /proc: on Linux only. */

/** Linux counts CPU time for user programs in hundredths of a second on all its platforms. */
const TICK_MS = 10;
/** What Linux takes for that in clear_refs. */
const RESET_PEAK = '5';

/** CPU milliseconds that a process has used so far, of all its threads; 0 for one that has ended. */
export function cpuMsOf(pid: number): number {
  return times(pid).own;
}

/** CPU milliseconds of these processes, with the programs that they started and that have ended. */
export function cpuMsWithChildren(pids: Iterable<number>): number {
  return [...pids].map(times).reduce((sum, { own, children }) => sum + own + children, 0);
}

/** CPU milliseconds of programs that this process started and that have ended. */
export function childrenCpuMs(): number {
  return times(process.pid).children;
}

/** CPU milliseconds that a Redis has used. */
export async function redisCpuMs(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map(([, value]) => Number(value));
  return 1000 * seconds.reduce((sum, value) => sum + value, 0);
}

function times(pid: number): { own: number; children: number } {
  const stat = read(pid, 'stat');
  // The name of the program, in brackets, may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map((ticks) => Number(ticks) * TICK_MS);
  return { own: (user ?? 0) + (system ?? 0), children: (childrenUser ?? 0) + (childrenSystem ?? 0) };
}

/** Resident memory of a process in MB; 0 for one that has ended. */
export function rssMbOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(read(pid, 'status'))?.[1] ?? 0) / 1024;
}

/** The most resident memory in MB that a process had since the last `resetPeakRss`; 0 for one that has ended. */
export function peakRssMbOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(read(pid, 'status'))?.[1] ?? 0) / 1024;
}

/** Error for a process of another user. */
export function resetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, RESET_PEAK);
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
