import { type ErrorReport, FarmError } from '../errors.ts';
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
    setTimeout(() => process.exit(1), patienceMs).unref();
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

/** A process's message to its supervisor about its start. */
export type StartMessage = { type: 'ready' } | { type: 'failed'; error: ErrorReport };

/** Tells the supervisor, if there is one, that this process is ready. */
export function reportReady(): void {
  tellSupervisor({ type: 'ready' }, () => {});
}

/** Ends a process that cannot start: says why on standard error, and to the supervisor, if there is one. */
export function endUnstarted(thrown: unknown): void {
  const error = FarmError.from(thrown).toReport();
  process.stderr.write(`${error.code}: ${error.message}\n${error.remedy}\n`);
  tellSupervisor({ type: 'failed', error }, () => process.exit(1));
}

function tellSupervisor(message: StartMessage, then: () => void): void {
  if (process.send) process.send(message, then);
  else then();
}
