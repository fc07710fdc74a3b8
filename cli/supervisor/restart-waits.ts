import { MINUTE_MS } from '../../shared/units.ts';

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = MINUTE_MS;
/** A process that ran for so long before it ended did not end because of its start. */
const STEADY_AFTER_MS = MINUTE_MS;

/**
 * How long to wait before a process that has ended is started again: not at all after a steady run, then 1 s, 2 s, 4 s
 * and so on up to 60 s.
 */
export class RestartWaits {
  /** Ends in a row without a steady run in between. */
  inARow = 0;

  /** @param ranMs how long it has run, 0 when it did not even start. @returns milliseconds. */
  next(ranMs: number): number {
    if (ranMs >= STEADY_AFTER_MS) this.inARow = 0;
    const waitMs = this.inARow === 0 ? 0 : Math.min(FIRST_WAIT_MS * 2 ** (this.inARow - 1), LONGEST_WAIT_MS);
    this.inARow++;
    return waitMs;
  }
}

/** For people: that a process has ended, and when it is started again. */
export function describeEnd(name: string, how: string, { inARow }: RestartWaits, waitMs: number): string {
  const when = waitMs === 0 ? 'starting it again' : `starting it again in ${waitMs / 1000} s`;
  return `${name} ended unexpectedly (${how})${inARow > 1 ? `, ${inARow} times in a row` : ''}; ${when}`;
}
