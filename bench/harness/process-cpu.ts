import { readFileSync, writeFileSync } from 'node:fs';

/** CPU and memory of other processes, read from /proc: on Linux only. */

/** Linux counts CPU time for user programs in hundredths of a second on all its platforms. */
const TICK_MS = 10;
/** What Linux takes for that in clear_refs. */
const RESET_PEAK = '5';

/** CPU milliseconds that a process has used so far, of all its threads; 0 for one that has ended. */
export function cpuMsOf(pid: number): number {
  const stat = read(pid, 'stat');
  // The name of the program, in brackets, may contain anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_MS;
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
