import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { z } from 'zod';

/** The only module that checks whether a process still runs. */

const MARK_LENGTH = 12;

/** A process, as it is written down for others to find. */
export const processIdentitySchema = z.object({
  host: z.string(),
  pid: z.int().positive(),
  /** When it started, in a form for comparison only. Distinguishes it from a later process with the same id. */
  startMark: z.string().optional(),
  /** Where its id counts: in this run of this machine, and in this container. Absent where the system does not tell. */
  pidSpace: z.string().optional(),
});
export type ProcessIdentity = Readonly<z.infer<typeof processIdentitySchema>>;

/** This process, for others to find. */
export function ownIdentity(): ProcessIdentity {
  return identityOf(process.pid);
}

/** A process of this machine that runs now. */
export function identityOf(pid: number): ProcessIdentity {
  return { host: hostname(), pid, startMark: look(pid)?.startMark, pidSpace: ownPidSpace() };
}

/**
 * True only where it is certain that the process has ended, or that its id belongs to another process by now. False for
 * one of another machine or container, of which nothing is known: containers may share a host name and not see each
 * other's processes, two machines may have the same name, and after a start of the machine ids begin anew.
 */
export function hasEnded(identity: ProcessIdentity): boolean {
  const { pid, startMark } = identity;
  if (!isWithinSight(identity)) return false;
  if (!exists(pid)) return true;
  const now = look(pid);
  if (now === undefined) return !exists(pid);
  return now.isZombie || (startMark !== undefined && now.startMark !== startMark);
}

/**
 * True only where it is certain that the process runs and is the one that was meant, so that it may be sent a signal.
 */
export function isSurelyAlive(identity: ProcessIdentity): boolean {
  return isWithinSight(identity) && identity.startMark !== undefined && !hasEnded(identity);
}

/** Whether its id means the same process here. */
export function isWithinSight({ host, pidSpace }: ProcessIdentity): boolean {
  return host === hostname() && pidSpace === ownPidSpace();
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

function ownPidSpace(): string | undefined {
  try {
    return process.platform === 'linux' ? markOf(`${bootId()} ${readlinkSync('/proc/self/ns/pid')}`) : undefined;
  } catch {
    return undefined; // No /proc here, so every process is judged by its id alone.
  }
}

/** Short, since people meet it: the dashboard shows who ran a job. */
function markOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, MARK_LENGTH);
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Undefined where the system does not tell, or the process is gone. A zombie has ended and was not yet waited for. */
function look(pid: number): { startMark: string; isZombie: boolean } | undefined {
  try {
    return process.platform === 'linux' ? lookInProc(pid) : lookWithPs(pid);
  } catch {
    return undefined; // As said above.
  }
}

function lookInProc(pid: number): { startMark: string; isZombie: boolean } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in brackets may contain spaces and brackets; fields 3 (state) and 22 (start, in ticks) are counted after
  // it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { startMark: markOf(`${bootId()} ${fields[19]}`), isZombie: fields[0] === 'Z' || fields[0] === 'X' };
}

function lookWithPs(pid: number): { startMark: string; isZombie: boolean } {
  const options = { encoding: 'utf8', env: { LC_ALL: 'C', TZ: 'UTC' } } as const;
  const [state = '', ...start] = execFileSync('/bin/ps', ['-o', 'state=,lstart=', '-p', String(pid)], options)
    .trim()
    .split(/\s+/);
  return { startMark: markOf(start.join(' ')), isZombie: state.startsWith('Z') };
}
