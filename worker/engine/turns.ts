/** Who runs the network next. */

export type Urgency = 'live' | 'segment';

interface Waiter {
  readonly start: () => void;
}

/**
 * One turn at a time in this thread: live work first, and within each kind in the order of asking, so that several
 * tasks alternate turn by turn. A task that waits for a turn waits for one turn of the other kind at most.
 */
export class Turns {
  readonly #waiting: Record<Urgency, Waiter[]> = { live: [], segment: [] };
  /** From the start of a turn until the next one may begin. */
  #taken = false;

  /**
   * Does `work` in a turn of its own.
   * @throws `signal.reason` when the signal is aborted before the turn comes; whatever `work` throws.
   */
  async run<T>(urgency: Urgency, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#take(urgency, signal);
    try {
      return await work();
    } finally {
      // Not at once: a live task asks for its next turn in a moment, and goes before segments that wait already.
      setImmediate(() => this.#pass());
    }
  }

  async #take(urgency: Urgency, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    const queue = this.#waiting[urgency];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { start: resolve };
    const leave = () => {
      const place = queue.indexOf(waiter);
      if (place >= 0) queue.splice(place, 1);
      reject(signal.reason);
    };
    queue.push(waiter);
    signal.addEventListener('abort', leave, { once: true });
    await promise.finally(() => signal.removeEventListener('abort', leave));
  }

  #pass(): void {
    const next = this.#waiting.live.shift() ?? this.#waiting.segment.shift();
    if (next) next.start();
    else this.#taken = false;
  }
}
