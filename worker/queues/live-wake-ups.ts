import type { Redis } from 'ioredis';
import { LIVE_CHANNEL, liveChannelOf } from '../../shared/jobs/queues.ts';
import { ignored } from '../../shared/process/unheard.ts';

/** Tells the express lanes of this process that a live job was put on their queue. Wake-ups may get lost. */
export class LiveWakeUps {
  readonly #subscriber: Redis;
  readonly #listeners = new Map<string, () => void>();

  /** @param subscriber a connection for subscriptions only, which others may share. */
  constructor(subscriber: Redis) {
    this.#subscriber = subscriber;
    subscriber.on('message', (channel: string, queueName: string) => {
      if (channel === LIVE_CHANNEL || channel === liveChannelOf(queueName)) this.#listeners.get(queueName)?.();
    });
  }

  /** Hears front ends of versions that tell all workers of each job. */
  async listen(): Promise<void> {
    await this.#subscriber.subscribe(LIVE_CHANNEL);
  }

  /** Calls `listener` whenever a live job came to the queue. Call the returned function to stop that. */
  on(queueName: string, listener: () => void): () => void {
    this.#listeners.set(queueName, listener);
    const asleep = ignored('a wake-up only: live jobs are looked for several times a second as well');
    this.#subscriber.subscribe(liveChannelOf(queueName)).catch(asleep);
    return () => {
      this.#listeners.delete(queueName);
      this.#subscriber.unsubscribe(liveChannelOf(queueName)).catch(asleep);
    };
  }
}
