import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 5;
const NS_PER_MS = 1e6;

/** Measures how long the event loop of this thread was blocked, for heartbeats and benchmarks. */
export class EventLoopMonitor {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }

  /** Longest block in ms since the last call. */
  takeMaxMs(): number {
    const maxMs = Math.max(0, this.#histogram.max / NS_PER_MS - RESOLUTION_MS);
    this.#histogram.reset();
    return maxMs;
  }
}
