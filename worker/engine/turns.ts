/** Decides which task runs the network next. */

export type Urgency = 'live' | 'segment';

/**
 * While segments wait, every tenth turn is theirs: a render gets on under endless live work, and live work keeps nine
 * tenths of the GPU, as many streams as are admitted (`LIVE_SHARE` in shared/workers/placement.ts).
 */
const LIVE_TURNS_IN_A_ROW = 9;

interface Waiter {
  readonly start: () => void;
}

/**
 * Gives turns, one at a time: to live work first, but for the share that segments have, and within each kind in the
 * order of the requests, so that several tasks alternate turn by turn. A live task waits for one turn of a segment at
 * most.
 */
export class Turns {
  readonly #waiting: Record<Urgency, Waiter[]> = { live: [], segment: [] };
  readonly #onEnd: () => void;
  /** True from the start of a turn until the next one may begin. */
  #taken = false;
  /** Turns of live work since the last one of a segment, while segments wait. */
  #liveTurns = 0;

  /** @param onEnd called when a turn has ended well. */
  constructor(onEnd: () => void = () => {}) {
    this.#onEnd = onEnd;
  }

  /**
   * Does `work` in a turn of its own.
   * @throws `signal.reason` when the signal is aborted before the turn comes; whatever `work` throws.
   */
  async run<T>(urgency: Urgency, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#take(urgency, signal);
    try {
      const result = await work();
      this.#onEnd();
      return result;
    } finally {
      // Deferred by one tick: a live task asks for its next turn in this tick, and then runs before segments that wait.
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
    const next = this.#next();
    if (next) next.start();
    else this.#taken = false;
  }

  #next(): Waiter | undefined {
    const { live, segment } = this.#waiting;
    const segmentIsDue = this.#liveTurns >= LIVE_TURNS_IN_A_ROW || live.length === 0;
    if (segment.length === 0 || segmentIsDue) this.#liveTurns = 0;
    else this.#liveTurns += 1;
    return (segmentIsDue ? segment.shift() : undefined) ?? live.shift();
  }
}
