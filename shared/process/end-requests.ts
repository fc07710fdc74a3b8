import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { isBelowNpm } from './environment.ts';

/** Listens for requests to end this process. */

export type EndReason = 'SIGINT' | 'SIGTERM' | 'terminal closed' | 'npm has ended';

export interface EndRequests {
  /** Called once: by the first signal, or because the terminal or the npm above this process is gone. */
  first(reason: EndReason): void;
  /** Called for each further signal, whose sender does not want to wait. */
  again(signal: 'SIGINT' | 'SIGTERM'): void;
}

/** A terminal's Ctrl-C reaches this process directly, and once more through npm. */
const SAME_PRESS_MS = 500;
/** So does a SIGTERM to every process of a service, as systemd sends it. */
const SAME_TERM_MS = 2000;
const LOOK_FOR_PARENT_MS = 500;
const SAME_HANG_UP_MS = 3000;

/** Asked when the module is loaded, as long as the terminal is surely there. */
const startedOnTerminal = isatty(1) || isatty(2);

/**
 * Listens to SIGINT and SIGTERM, to SIGHUP where it comes because the terminal was closed, and to the end of npm: a
 * shell that npm puts in between (`npx farm up`) dies of a SIGTERM and hands nothing on. Returns what stops listening.
 */
export function onEndRequest(requests: EndRequests): () => void {
  // A process with a supervisor leaves watching npm and the terminal to it.
  const belowNpm = isBelowNpm() && process.send === undefined;
  let askedAtMs: number | undefined;
  let asked: EndReason | undefined;
  const first = (reason: EndReason) => {
    if (askedAtMs !== undefined) return;
    askedAtMs = performance.now();
    asked = reason;
    requests.first(reason);
  };
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    if (askedAtMs === undefined) return first(signal);
    const agoMs = performance.now() - askedAtMs;
    if (belowNpm && signal === asked && agoMs < echoWithinMs(signal)) return;
    askedAtMs = performance.now();
    requests.again(signal);
  };

  const parent = process.ppid;
  let hungUpAtMs = Number.NEGATIVE_INFINITY;
  const onHangUp = () => {
    hungUpAtMs = performance.now();
    if (terminalIsGone()) first('terminal closed');
  };
  const look = () => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    // A closed terminal ends npm even below nohup, which asks for the opposite.
    if (performance.now() - hungUpAtMs > SAME_HANG_UP_MS) first('npm has ended');
  };
  const watch = belowNpm ? setInterval(look, LOOK_FOR_PARENT_MS).unref() : undefined;

  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onHangUp);
  return () => {
    clearInterval(watch);
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onHangUp);
  };
}

/** How long after a signal the same one may come once more through npm. */
function echoWithinMs(signal: 'SIGINT' | 'SIGTERM'): number {
  if (signal === 'SIGTERM') return SAME_TERM_MS;
  return startedOnTerminal || isatty(0) ? SAME_PRESS_MS : 0;
}

/** What a shell makes of a process that a signal ended: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM. */
export function exitCodeOf(signal: 'SIGHUP' | 'SIGINT' | 'SIGTERM'): number {
  return 128 + constants.signals[signal];
}

/** True when this process was started from a terminal that is no longer there. */
export function terminalIsGone(): boolean {
  if (!startedOnTerminal) return false;
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return false;
  } catch {
    return true; // ENXIO: there is no such terminal any more.
  }
}
