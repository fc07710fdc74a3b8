import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { exitCodeOf, onEndRequest } from '../shared/process/end-requests.ts';

/**
 * Runs an entry of another part of the farm in a process of its own, on this terminal, and takes over its exit code.
 * The first signal goes on to it, and it is waited for: it may have to tidy up. A second one ends it at once.
 */
export async function runEntry(entry: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'inherit' });
  const stopListening = onEndRequest({
    first: (reason) => child.kill(reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM'),
    again: (signal) => {
      child.kill('SIGKILL');
      process.exit(exitCodeOf(signal));
    },
  });
  try {
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    process.exitCode = exitCode ?? 1;
  } finally {
    stopListening();
  }
}
