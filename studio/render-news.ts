import type { RenderEventName } from '../shared/renders/events.ts';

const EVENTS: readonly (RenderEventName | 'events.missed')[] = [
  ...(['render.queued', 'render.running', 'render.progress', 'render.completed', 'render.failed'] as const),
  ...(['render.cancelled', 'render.removed', 'events.missed'] as const),
];
/** Looks at a render that nothing was heard of, and at one of which much is heard. */
const CALM_MS = 3000;
const BUSY_MS = 200;

/** When something happens to a render: the farm's events while they come, else a clock. */
export class RenderNews {
  readonly #source: EventSource;
  #hasNews = false;
  #wake: () => void = () => {};

  constructor(renderId: string, closed: AbortSignal) {
    this.#source = new EventSource(`/v1/renders/${renderId}/events`);
    const hear = () => {
      this.#hasNews = true;
      this.#wake();
    };
    for (const name of EVENTS) this.#source.addEventListener(name, hear);
    closed.addEventListener('abort', () => {
      this.#source.close();
      this.#wake();
    });
  }

  /** Resolves with the next event, or after `ms` while no events come, as behind a proxy that holds them back. */
  async next(ms: number): Promise<void> {
    const isHeard = this.#source.readyState === EventSource.OPEN;
    if (!this.#hasNews) await this.#wait(isHeard ? Math.max(ms, CALM_MS) : ms);
    if (this.#hasNews) await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
    this.#hasNews = false;
  }

  async #wait(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }
}
