import { setTimeout as delay } from 'node:timers/promises';
import { ignored } from '../../shared/process/unheard.ts';
import type { EventListener } from './event-hub.ts';
import type { LoggedEvent } from './event-log.ts';

/** What waits for one client: one that takes less than comes is let go, and can go on from the last it has got. */
const MOST_WAITING = 1000;

/** Events that one client has not taken yet. */
export class EventInbox implements EventListener {
  readonly #wanted: (event: LoggedEvent) => boolean;
  readonly #events: LoggedEvent[] = [];
  #wake: (() => void) | undefined;
  #hasMissed = false;
  #isOver = false;

  constructor(wanted: (event: LoggedEvent) => boolean) {
    this.#wanted = wanted;
  }

  take(event: LoggedEvent): void {
    if (this.#isOver || !this.#wanted(event)) return;
    this.#isOver = this.#events.push(event) > MOST_WAITING;
    this.#wake?.();
  }

  missed(): void {
    this.#hasMissed = true;
    this.#wake?.();
  }

  /** The next event; `missed` once when some have gone; `idle` after `waitMs`; `over` when too many wait, or on abort. */
  async next(waitMs: number, signal: AbortSignal): Promise<LoggedEvent | 'missed' | 'idle' | 'over'> {
    if (this.#events.length === 0 && !this.#hasMissed && !this.#isOver && !signal.aborted) {
      await this.#wait(waitMs, signal);
      if (this.#events.length === 0 && !this.#hasMissed && !this.#isOver && !signal.aborted) return 'idle';
    }
    if (this.#isOver || signal.aborted) return 'over';
    if (!this.#hasMissed) return this.#events.shift() ?? 'idle';
    this.#hasMissed = false;
    return 'missed';
  }

  async #wait(waitMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await delay(waitMs, undefined, { signal: AbortSignal.any([woken.signal, signal]) }).catch(
      ignored('an event came, or the client has gone'),
    );
    this.#wake = undefined;
  }
}
