import { hostname } from 'node:os';

/** True for a process of this machine that has ended; false for one of another machine, of which nothing is known. */
export function hasEnded({ host, pid }: { readonly host: string; readonly pid: number }): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
