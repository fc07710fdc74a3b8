import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** The only module that checks whether a process still runs. */

export interface ProcessIdentity {
  readonly host: string;
  readonly pid: number;
  /** When it started, in a form for comparison only. Distinguishes it from a later process with the same id. */
  readonly startMark?: string | undefined;
}

/** This process, for others to find. */
export function ownIdentity(): ProcessIdentity {
  return identityOf(process.pid);
}

/** A process of this machine that runs now. */
export function identityOf(pid: number): ProcessIdentity {
  return { host: hostname(), pid, startMark: look(pid)?.startMark };
}

/**
 * True for a process of this machine that has ended, or whose id belongs to another process by now; false for one of
 * another machine, of which nothing is known.
 */
export function hasEnded({ host, pid, startMark }: ProcessIdentity): boolean {
  if (host !== hostname()) return false;
  if (!exists(pid)) return true;
  const now = look(pid);
  if (now === undefined) return !exists(pid);
  return now.isZombie || (startMark !== undefined && now.startMark !== startMark);
}

/**
 * True only where it is certain that the process runs and is the one that was meant, so that it may be sent a signal.
 */
export function isSurelyAlive(identity: ProcessIdentity): boolean {
  return identity.host === hostname() && identity.startMark !== undefined && !hasEnded(identity);
}

/** EPERM means that it runs under another user. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Undefined where the system does not tell, or the process is gone. A zombie has ended and was not yet waited for. */
function look(pid: number): { startMark: string; isZombie: boolean } | undefined {
  try {
    return process.platform === 'linux' ? lookInProc(pid) : lookWithPs(pid);
  } catch {
    return undefined;
  }
}

function lookInProc(pid: number): { startMark: string; isZombie: boolean } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may contain spaces and brackets; fields 3 (state) and 22 (start, in ticks) are counted after
  // it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return { startMark: `${boot} ${fields[19]}`, isZombie: fields[0] === 'Z' || fields[0] === 'X' };
}

function lookWithPs(pid: number): { startMark: string; isZombie: boolean } {
  const options = { encoding: 'utf8', env: { LC_ALL: 'C', TZ: 'UTC' } } as const;
  const [state = '', ...start] = execFileSync('/bin/ps', ['-o', 'state=,lstart=', '-p', String(pid)], options)
    .trim()
    .split(/\s+/);
  return { startMark: start.join(' '), isZombie: state.startsWith('Z') };
}
