import { monitorEventLoopDelay } from 'node:perf_hooks';

/**
 * Each look wakes the process. At 5 ms that took as much processor time as all else that an idle worker does, and took
 * cores away from those that compute. Looks by JavaScript's own timers cost twice as much as Node's.
 */
const RESOLUTION_MS = 50;
const NS_PER_MS = 1e6;

/** Measures how long the event loop of this thread was blocked, for heartbeats and benchmarks. */
export class EventLoopMonitor {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /**
   * Longest block in ms since the last call, up to 50 ms too low, since the loop is looked at that often; one within
   * 100 ms after a call may be missed.
   */
  takeMaxMs(): number {
    const maxMs = Math.max(0, this.#histogram.max / NS_PER_MS - RESOLUTION_MS);
    this.#histogram.reset();
    return maxMs;
  }
}
