import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs an entry of another part of the farm in a process of its own, on this terminal, and takes over its exit code.
 * Signals go on to it, and it is waited for: it may have to tidy up.
 */
export async function runEntry(entry: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'inherit' });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  process.on('SIGINT', forward).on('SIGTERM', forward);
  try {
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    process.exitCode = exitCode ?? 1;
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward);
  }
}
