import { setTimeout as delay } from 'node:timers/promises';
import { ignored } from '../../shared/process/unheard.ts';
import type { EventHub, EventListener } from './event-hub.ts';
import type { LoggedEvent } from './event-log.ts';

/** Tells one who watches a render that something has happened to it. What that was, the record says. */
export class RenderChanges implements EventListener {
  readonly #renderId: string;
  #changedAtMs = performance.now();
  #hasChanged = false;
  #wake: (() => void) | undefined;

  private constructor(renderId: string) {
    this.#renderId = renderId;
  }

  /** Nothing that happens once this has resolved is missed, until the signal is aborted, which must happen. */
  static async of(renderId: string, hub: EventHub, signal: AbortSignal): Promise<RenderChanges> {
    const changes = new RenderChanges(renderId);
    const { end } = await hub.listen(changes);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return changes;
  }

  /** When the last change was told of, by performance.now(): a look that began before it is out of date. */
  get changedAtMs(): number {
    return this.#changedAtMs;
  }

  take({ stored }: LoggedEvent): void {
    if (stored.renderId === this.#renderId) this.#note();
  }

  missed(): void {
    this.#note();
  }

  /** Resolves at the next change, at once when there was one since the last call, and after `waitMs` in any case. */
  async next(waitMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#hasChanged) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      await delay(waitMs, undefined, { signal: AbortSignal.any([woken.signal, signal]) }).catch(
        ignored('something has happened, or the watcher has gone'),
      );
      this.#wake = undefined;
      signal.throwIfAborted();
    }
    this.#hasChanged = false;
  }

  #note(): void {
    this.#changedAtMs = performance.now();
    this.#hasChanged = true;
    this.#wake?.();
  }
}
