import { type ErrorReport, FarmError } from '../errors/farm-error.ts';
import type { ProcessState } from '../views/process-view.ts';
import { ALIVE_EVERY_MS } from './signs-of-life.ts';

/** The channel between a process and its supervisor, and the process's end of it. Without a supervisor it is silent. */

/** What a process says about its start. */
export type StartMessage = { type: 'ready' } | { type: 'failed'; error: ErrorReport };

/** `progress` changes as long as the start goes on; it means nothing once the process is ready. */
export type ProcessMessage = StartMessage | { type: 'alive'; progress: number };

/** What a supervisor says: how all its processes are. */
export type SupervisorMessage = { type: 'processes'; processes: ProcessState[] };

let startSteps = 0;

/** Says that the start goes on. A start without such a sign for two minutes is taken for stuck. */
export function noteStartProgress(): void {
  startSteps++;
}

/**
 * Shows the supervisor once a second that this thread is not blocked. Call it first in a process's entry: a process that
 * was alive and is silent for 20 s is ended and started again.
 */
export function showLife(): void {
  if (!process.send) return;
  const show = () => {
    // Once the supervisor is gone, `disconnect` ends this process.
    if (process.connected) tellSupervisor({ type: 'alive', progress: startSteps });
  };
  show();
  setInterval(show, ALIVE_EVERY_MS).unref();
}

/** Tells the supervisor, if there is one, that this process is ready. */
export function reportReady(): void {
  tellSupervisor({ type: 'ready' });
}

/** Ends a process that cannot start: says why on standard error, and to the supervisor, if there is one. */
export function endUnstarted(thrown: unknown): void {
  const error = FarmError.from(thrown).toReport();
  process.stderr.write(`${error.code}: ${error.message}\n${error.remedy}\n`);
  tellSupervisor({ type: 'failed', error }, () => process.exit(1));
}

/** Calls `listener` whenever the state of one of the supervisor's processes has changed; never without a supervisor. */
export function onProcessStates(listener: (processes: readonly ProcessState[]) => void): void {
  process.on('message', (message: SupervisorMessage) => {
    if (message.type === 'processes') listener(message.processes);
  });
}

/** @param then called once the message is on its way, or cannot be sent. */
function tellSupervisor(message: ProcessMessage, then: () => void = () => {}): void {
  if (process.send) process.send(message, then);
  else then();
}
