import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis/key-prefix.ts';

const DRAINED_KEY = `${KEY_PREFIX}:gpus:drained`;

/**
 * Channel for "<gpu> drain" and "<gpu> resume" when an operator asks for it: a wake-up only, the set is what counts.
 */
const GPU_ORDERS_CHANNEL = `${KEY_PREFIX}:gpus:orders`;

export type GpuOrder = 'drain' | 'resume';

/** The GPUs that an operator has taken out of service. They stay so until they are resumed, also after restarts. */
export class GpuDrains {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async give(gpuId: number, order: GpuOrder): Promise<void> {
    if (order === 'drain') await this.#redis.sadd(DRAINED_KEY, gpuId);
    else await this.#redis.srem(DRAINED_KEY, gpuId);
    await this.#redis.publish(GPU_ORDERS_CHANNEL, `${gpuId} ${order}`);
  }

  async has(gpuId: number): Promise<boolean> {
    return (await this.#redis.sismember(DRAINED_KEY, gpuId)) === 1;
  }

  async all(): Promise<Set<number>> {
    return new Set((await this.#redis.smembers(DRAINED_KEY)).map(Number));
  }
}

/** Calls `listener` for each order to this GPU that is heard on a connection which only listens. */
export async function listenForOrders(
  subscriber: Redis,
  gpuId: number,
  listener: (order: GpuOrder) => void,
): Promise<void> {
  subscriber.on('message', (channel: string, message: string) => {
    if (channel !== GPU_ORDERS_CHANNEL) return;
    if (message === `${gpuId} drain`) listener('drain');
    if (message === `${gpuId} resume`) listener('resume');
  });
  await subscriber.subscribe(GPU_ORDERS_CHANNEL);
}
