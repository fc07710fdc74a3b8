/** What goes over a line: commands to Redis, and its answers. */
export type Way = 'commands' | 'answers';

const WAYS: readonly Way[] = ['commands', 'answers'];

/**
 * The line between a process and Redis, which can be slow, or dead one way or both. As on a network, what was sent while
 * it was dead arrives when it works again, late and in its order, the end of a connection included: nobody is told.
 */
export class Line {
  readonly #closed = new Set<Way>();
  #delayMs = 0;
  readonly #queues = new Set<LineQueue>();

  /** Lets nothing through until it is opened. */
  close(ways: readonly Way[] = WAYS): void {
    for (const way of ways) this.#closed.add(way);
  }

  /** Lets everything through at once again, what has waited first. */
  open(): void {
    this.#closed.clear();
    this.#delayMs = 0;
    for (const queue of this.#queues) queue.pump();
  }

  /** Has everything that is sent from now on arrive so much later. */
  slow(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** For one connection and direction. */
  queue(way: Way): LineQueue {
    const queue = new LineQueue(
      () => this.#closed.has(way),
      () => this.#delayMs,
    );
    this.#queues.add(queue);
    return queue;
  }

  /** Of a connection that is gone. */
  forget(queue: LineQueue): void {
    this.#queues.delete(queue);
  }
}

class LineQueue {
  readonly #isClosed: () => boolean;
  readonly #delayMs: () => number;
  readonly #waiting: { readonly dueMs: number; readonly deliver: () => void }[] = [];

  constructor(isClosed: () => boolean, delayMs: () => number) {
    this.#isClosed = isClosed;
    this.#delayMs = delayMs;
  }

  /** Delivers it when its time has come, after all that was pushed before. */
  push(deliver: () => void): void {
    this.#waiting.push({ dueMs: performance.now() + this.#delayMs(), deliver });
    this.pump();
  }

  pump(): void {
    for (let first = this.#waiting[0]; first && !this.#isClosed(); first = this.#waiting[0]) {
      const leftMs = first.dueMs - performance.now();
      if (leftMs > 0) {
        setTimeout(() => this.pump(), leftMs);
        return;
      }
      this.#waiting.shift();
      first.deliver();
    }
  }
}
