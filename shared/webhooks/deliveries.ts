import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { DAY_MS } from '../units.ts';
import { type DeliveryTry, deliveryTrySchema } from '../views/webhook-view.ts';

/** What is still to be sent to webhooks, and the log of all tries. */

const LOG_KEY = `${KEY_PREFIX}:webhooks:log`;
const MOST_LOGGED = 5000;
/** Longer than any delivery is tried. */
const KEPT_MS = 7 * DAY_MS;
const PIECE = 500;

/** A message that is to be sent. The body stays the same at every try, and so does its id. */
const deliverySchema = z.object({
  id: z.string(),
  type: z.string(),
  url: z.string(),
  body: z.string(),
  /** Name of the API key whose own secret signs it; absent: the secrets of the farm do. */
  signedFor: z.string().optional(),
  renderId: z.string().nullable(),
  owner: z.string().nullable(),
});
export type Delivery = z.infer<typeof deliverySchema>;

const deliveryKey = (id: string) => `${KEY_PREFIX}:webhook:${id}`;
const goneKey = ({ renderId, url }: Pick<Delivery, 'renderId' | 'url'>) =>
  `${KEY_PREFIX}:webhook:gone:${renderId}:${createHash('sha256').update(url).digest('base64url')}`;

export class Deliveries {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async keep(delivery: Delivery): Promise<void> {
    await this.#redis.set(deliveryKey(delivery.id), JSON.stringify(delivery), 'PX', KEPT_MS);
  }

  /** Undefined when it was delivered or given up. */
  async find(id: string): Promise<Delivery | undefined> {
    const text = await this.#redis.get(deliveryKey(id));
    return text === null ? undefined : deliverySchema.parse(JSON.parse(text));
  }

  async forget(id: string): Promise<void> {
    await this.#redis.del(deliveryKey(id));
  }

  /** The address wants to hear no more of the render. */
  async noteGone(delivery: Pick<Delivery, 'renderId' | 'url'>): Promise<void> {
    await this.#redis.set(goneKey(delivery), '', 'PX', KEPT_MS);
  }

  /** Whether that was noted. */
  async isGone(delivery: Pick<Delivery, 'renderId' | 'url'>): Promise<boolean> {
    return (await this.#redis.exists(goneKey(delivery))) === 1;
  }

  async log(attempt: DeliveryTry): Promise<void> {
    await this.#redis.xadd(LOG_KEY, 'MAXLEN', '~', MOST_LOGGED, '*', 'try', JSON.stringify(attempt));
  }

  /** Newest first. */
  async tries(limit: number, isWanted: (attempt: DeliveryTry) => boolean): Promise<DeliveryTry[]> {
    const found: DeliveryTry[] = [];
    for (let last = '+'; found.length < limit; ) {
      const entries = await this.#redis.xrevrange(LOG_KEY, last, '-', 'COUNT', PIECE);
      const tries = entries.flatMap(([, [, text = '']]) => deliveryTrySchema.safeParse(JSON.parse(text)).data ?? []);
      found.push(...tries.filter(isWanted));
      if (entries.length < PIECE) break;
      last = `(${entries.at(-1)?.[0]}`;
    }
    return found.slice(0, limit);
  }
}

/** An address as it is shown: what stands behind the path may be a secret. */
export function shownUrl(text: string): string {
  const url = URL.parse(text);
  return url ? `${url.origin}${url.pathname}` : '';
}
