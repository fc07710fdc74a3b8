/** What becomes of a fault that nobody awaits. One of these stands in every place that lets one go. */

/** The part of a logger that is needed here. */
interface UnheardLog {
  warn(fields: object, message: string): void;
}

/** How long the same words stay unsaid after they were logged, so that an outage is a few lines and not thousands. */
const QUIET_MS = 60_000;

const said = new Map<string, { atMs: number; since: number }>();
let log: UnheardLog | undefined;

/** Gives this thread the log of `logged`. Commands have none: what matters to their user they say themselves. */
export function logUnheardTo(ofThisThread: UnheardLog): void {
  log = ofThisThread;
}

/**
 * A handler that lets a fault go in silence: `work.catch(ignored('whoever awaits it is told'))`.
 * @param _because why silence is right, for who reads the code.
 * @param instead what is answered in place of the result.
 */
export function ignored(_because: string): () => undefined;
export function ignored<T>(_because: string, instead: T): () => T;
export function ignored(_because: string, instead?: unknown): () => unknown {
  return () => instead;
}

/**
 * A handler that writes a fault to this thread's log and goes on: `rm(draft).catch(logged('could not remove a draft'))`.
 * @param what happened and why work goes on; the same words every time, since they are written once a minute at most,
 *   with the number of times in between.
 */
export function logged(what: string): (fault: unknown) => undefined {
  return (fault) => {
    const last = said.get(what);
    if (last && performance.now() - last.atMs < QUIET_MS) {
      last.since++;
      return;
    }
    said.set(what, { atMs: performance.now(), since: 0 });
    const reason = fault instanceof Error ? fault.message : String(fault);
    log?.warn({ reason, ...(last && last.since > 0 ? { timesBetween: last.since } : {}) }, what);
  };
}

/** A handler that answers `instead` for a file or folder that is not there. Any other fault is thrown on. */
export function ifMissing(): (fault: unknown) => undefined;
export function ifMissing<T>(instead: T): (fault: unknown) => T;
export function ifMissing(instead?: unknown): (fault: unknown) => unknown {
  return (fault) => {
    const code = (fault as NodeJS.ErrnoException | undefined)?.code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return instead;
    throw fault;
  };
}

/**
 * A handler for work that rejects only when our own code is wrong: ends this thread, as an unhandled rejection would.
 * Written where nobody awaits such work, so that the reader need not wonder who hears of its faults.
 */
export function unexpected(fault: unknown): void {
  setImmediate(() => {
    throw fault;
  });
}
