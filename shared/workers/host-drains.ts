import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis/key-prefix.ts';

const DRAINED_KEY = `${KEY_PREFIX}:hosts:drained`;
/** Channel for the name of a host about which an order was given: a wake-up only, the set is what counts. */
const HOST_ORDERS_CHANNEL = `${KEY_PREFIX}:hosts:orders`;

export type HostOrder = 'drain' | 'undrain';

/**
 * Hosts, by name, that an operator has taken out of service: all their workers take no jobs. They stay so until they are
 * put back, also after restarts.
 */
export class HostDrains {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async give(host: string, order: HostOrder): Promise<void> {
    if (order === 'drain') await this.#redis.sadd(DRAINED_KEY, host);
    else await this.#redis.srem(DRAINED_KEY, host);
    await this.#redis.publish(HOST_ORDERS_CHANNEL, host);
  }

  async has(host: string): Promise<boolean> {
    return (await this.#redis.sismember(DRAINED_KEY, host)) === 1;
  }

  async all(): Promise<Set<string>> {
    return new Set(await this.#redis.smembers(DRAINED_KEY));
  }
}

/** Calls `listener` for each order about this host that is heard on a connection which only listens. */
export async function listenForHostOrders(subscriber: Redis, host: string, listener: () => void): Promise<void> {
  subscriber.on('message', (channel: string, message: string) => {
    if (channel === HOST_ORDERS_CHANNEL && message === host) listener();
  });
  await subscriber.subscribe(HOST_ORDERS_CHANNEL);
}
