import type { ErrorCode } from '../shared/errors/catalogue.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { wait } from './wait.ts';

/** Faults that pass by themselves when a front end or Redis starts again. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'farm_unreachable',
  'farm_draining',
  'redis_unavailable',
  'outcome_unknown',
]);

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2000;

export interface Patience {
  /** How long to try again after the first of a row of faults. */
  readonly forMs: number;
  /** Called at the first fault of a row. */
  readonly onTrouble?: (error: FarmError) => void;
  /** Called at the first answer after it. */
  readonly onRecovery?: () => void;
  readonly signal?: AbortSignal;
}

/** Does `work` until it succeeds, fails for good, or has failed for so long that the last fault is thrown. */
export async function patiently<T>(work: () => Promise<T>, patience: Patience): Promise<T> {
  const { forMs, onTrouble, onRecovery, signal } = patience;
  let givesUpAtMs: number | undefined;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
    signal?.throwIfAborted();
    try {
      const result = await work();
      if (givesUpAtMs !== undefined) onRecovery?.();
      return result;
    } catch (error) {
      if (!(error instanceof FarmError && PASSING.has(error.code))) throw error;
      if (givesUpAtMs === undefined && forMs > 0) onTrouble?.(error);
      givesUpAtMs ??= performance.now() + forMs;
      if (performance.now() + waitMs > givesUpAtMs) throw error;
      await wait(waitMs, signal);
    }
  }
}
