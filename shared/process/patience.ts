/** How often a wait is counted, at most. */
const TICK_MS = 1000;

/**
 * Waits for signs of life, and calls `onOver` once when `limitMs` have passed without one. It counts its own ticks and
 * not the clock: while this process is stopped or the machine sleeps, nobody else's silence counts.
 */
export class Patience {
  readonly #ticks: number;
  readonly #onOver: () => void;
  readonly #timer: NodeJS.Timeout;
  #counted = 0;

  constructor(limitMs: number, onOver: () => void) {
    const tickMs = Math.min(TICK_MS, limitMs / 4);
    this.#ticks = Math.ceil(limitMs / tickMs);
    this.#onOver = onOver;
    this.#timer = setInterval(() => this.#count(), tickMs).unref();
  }

  /** There was a sign of life. */
  renew(): void {
    this.#counted = 0;
  }

  /** Waits no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #count(): void {
    this.#counted++;
    if (this.#counted < this.#ticks) return;
    this.stop();
    this.#onOver();
  }
}
