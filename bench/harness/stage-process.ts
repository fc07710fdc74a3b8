import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '../../shared/process/environment.ts';
import type { Row } from './contract.ts';
import type { StageMessage } from './run-stage.ts';

const RUN_STAGE = fileURLToPath(new URL('./run-stage.ts', import.meta.url));
/** A stage that has been told to end stops its farms in this time, or is killed. */
const END_WITHIN_MS = 20_000;

export interface StageRun {
  readonly file: string;
  readonly limitMs: number;
  readonly before?: string | undefined;
  /** Ends the stage early. */
  readonly signal?: AbortSignal;
}

export interface StageOutcome {
  readonly rows: readonly Row[];
  /** Why there are no rows. */
  readonly failed?: string;
  readonly seconds: number;
}

/** Runs one stage in a process of its own, which has ended when this returns. Never throws for what the stage does. */
export async function runStage({ file, limitMs, before, signal }: StageRun): Promise<StageOutcome> {
  const startedAt = performance.now();
  // Configuration in the environment would change what is measured. The collector can be asked for, to look at memory.
  const child = fork(RUN_STAGE, before === undefined ? [file] : [file, before], {
    env: childEnvironment({}, false),
    execArgv: ['--expose-gc'],
  });
  let message: StageMessage | undefined;
  child.on('message', (sent: StageMessage) => {
    message = sent;
  });
  let why = 'It ended without a result';
  const end = (reason: string) => {
    why = reason;
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS).unref();
  };
  const timer = setTimeout(() => end(`It took longer than ${Math.round(limitMs / 1000)} s`), limitMs);
  const stop = () => end('It was told to stop');
  signal?.addEventListener('abort', stop);
  const [code, killedBy] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(timer);
  signal?.removeEventListener('abort', stop);
  const seconds = (performance.now() - startedAt) / 1000;
  if (message && 'rows' in message) return { rows: message.rows, seconds };
  return { rows: [], failed: message?.failed ?? `${why} (${killedBy ?? `exit code ${code}`})`, seconds };
}
