import type { Redis } from 'ioredis';
import { CANCEL_CHANNEL } from '../../shared/renders/store.ts';

/** Thrown as the abort reason of work whose render or live request has ended: cancelled, or failed elsewhere. */
export class RenderEnded extends Error {
  override readonly name = 'RenderEnded';
}

/**
 * Tells the jobs of this process that their render or live request has ended. The message only speeds this up: jobs
 * also check when they start and about once a second, so a lost message costs a second.
 */
export class CancelWatch {
  readonly #subscriber: Redis;
  readonly #watched = new Map<string, Set<AbortController>>();

  /** @param subscriber a connection for subscriptions only, which others may share. */
  constructor(subscriber: Redis) {
    this.#subscriber = subscriber;
    subscriber.on('message', (channel: string, id: string) => {
      if (channel === CANCEL_CHANNEL) this.end(id);
    });
  }

  async listen(): Promise<void> {
    await this.#subscriber.subscribe(CANCEL_CHANNEL);
  }

  /**
   * Aborts `controller` when the render or request of this id ends. Call the returned function when the job is over.
   */
  watch(id: string, controller: AbortController): () => void {
    const controllers = this.#watched.get(id) ?? new Set();
    this.#watched.set(id, controllers.add(controller));
    return () => {
      controllers.delete(controller);
      if (controllers.size === 0) this.#watched.delete(id);
    };
  }

  /** Aborts all work on a render or a live request in this process. */
  end(id: string): void {
    for (const controller of this.#watched.get(id) ?? []) {
      controller.abort(new RenderEnded(`${id} has ended`));
    }
  }
}
