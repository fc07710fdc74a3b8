import { exitCodeOf, onEndRequest } from './end-requests.ts';

/** Time to close connections, on top of the time that running work is given. */
export const CLOSING_MS = 10_000;

/** A farm that was killed may be restarting already, so its remaining processes end soon to make room. */
const ORPHAN_MS = 3000;

/**
 * Calls `drain` once when this process is asked to end: by a signal, or by the end of the process that started it (so
 * that no child outlives its farm). Ends the process afterwards, and after `deadlineMs` in any case: a drain can wait
 * for a Redis that never comes back. A second signal ends it at once, unless it has a supervisor, which decides that
 * itself: both get the Ctrl-C of a terminal.
 */
export function onShutdown(drain: (reason: string) => Promise<void>, deadlineMs: number): void {
  let draining = false;
  const begin = (reason: string, patienceMs = deadlineMs) => {
    if (draining) return;
    draining = true;
    setTimeout(endNow, patienceMs).unref();
    drain(reason).then(
      () => process.exit(0),
      (error: Error) => {
        process.stderr.write(`Draining failed: ${error.message}\n`);
        process.exit(1);
      },
    );
  };
  onEndRequest({
    first: begin,
    again: (signal) => {
      if (process.send === undefined) process.exit(exitCodeOf(signal));
    },
  });
  process.on('disconnect', () => begin('parent gone', ORPHAN_MS));
}

/**
 * Ends this process, whatever its threads do: `process.exit` waits for a thread in the middle of a run of a network,
 * which may never end.
 */
export function endNow(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable'); // The signal has ended the process.
}
