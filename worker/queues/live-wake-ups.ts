import type { Redis } from 'ioredis';
import { LIVE_CHANNEL } from '../../shared/queues.ts';

/** Tells the express lanes of this process that a live job was put on their queue. Wake-ups may get lost. */
export class LiveWakeUps {
  readonly #subscriber: Redis;
  readonly #listeners = new Map<string, () => void>();

  /** @param subscriber a connection for subscriptions only, which others may share. */
  constructor(subscriber: Redis) {
    this.#subscriber = subscriber;
    subscriber.on('message', (channel: string, queueName: string) => {
      if (channel === LIVE_CHANNEL) this.#listeners.get(queueName)?.();
    });
  }

  async listen(): Promise<void> {
    await this.#subscriber.subscribe(LIVE_CHANNEL);
  }

  /** Calls `listener` whenever a live job came to the queue. Call the returned function to stop that. */
  on(queueName: string, listener: () => void): () => void {
    this.#listeners.set(queueName, listener);
    return () => this.#listeners.delete(queueName);
  }
}
