import type { Redis } from 'ioredis';
import type { WebhookJob } from '../jobs/jobs.ts';
import { jobOptions, type QueueClients, WEBHOOK_QUEUE } from '../jobs/queues.ts';
import { WEBHOOK_CHANNEL } from '../renders/event-scripts.ts';
import {
  RENDER_EVENTS,
  type RenderEventName,
  storedEventSchema,
  toRenderEvent,
  WEBHOOK_TEST,
} from '../renders/events.ts';
import { WEBHOOK_OUTBOX_KEY } from '../renders/keys.ts';
import type { RenderWebhook } from '../renders/record.ts';
import { Deliveries, type Delivery } from './deliveries.ts';

const PIECE = 100;
const NAMES: ReadonlySet<string> = new Set(RENDER_EVENTS);

/** Puts a message for the trial of a webhook into the outbox, the way that those of renders go. */
export async function addTest(
  redis: Redis,
  id: string,
  { url, signedFor = '' }: RenderWebhook,
  owner: string,
): Promise<void> {
  const fields = [
    'id',
    id,
    'type',
    WEBHOOK_TEST,
    'event',
    JSON.stringify({ owner }),
    'url',
    url,
    'signedFor',
    signedFor,
  ];
  await redis.xadd(WEBHOOK_OUTBOX_KEY, '*', ...fields);
  await redis.publish(WEBHOOK_CHANNEL, id);
}

/**
 * Makes a job of every event in the outbox. An entry goes only when its job is there, and the job's id follows from the
 * event: whoever dies in between, or does it at the same time, loses nothing and adds nothing twice.
 */
export class WebhookOutbox {
  readonly #redis: Redis;
  readonly #queues: QueueClients;
  readonly #attempts: { most: number; firstWaitMs: number };

  constructor(redis: Redis, queues: QueueClients, attempts: { most: number; firstWaitMs: number }) {
    this.#redis = redis;
    this.#queues = queues;
    this.#attempts = attempts;
  }

  async empty(): Promise<void> {
    const deliveries = new Deliveries(this.#redis);
    for (;;) {
      const entries = await this.#redis.xrange(WEBHOOK_OUTBOX_KEY, '-', '+', 'COUNT', PIECE);
      for (const [entryId, fields] of entries) {
        const delivery = toDelivery(fields);
        if (delivery) {
          await deliveries.keep(delivery);
          await this.#add(delivery);
        }
        await this.#redis.xdel(WEBHOOK_OUTBOX_KEY, entryId);
      }
      if (entries.length < PIECE) return;
    }
  }

  async #add({ id, type }: Delivery): Promise<void> {
    const job: WebhookJob = { name: 'webhook', deliveryId: id };
    const attempts = type === WEBHOOK_TEST ? 1 : this.#attempts.most;
    const backoff = { type: 'exponential', delay: this.#attempts.firstWaitMs, jitter: 0.2 };
    await this.#queues.named(WEBHOOK_QUEUE).add(job.name, job, { ...jobOptions(job, attempts), backoff });
  }
}

/** Undefined for what a newer version has written. */
function toDelivery(fields: readonly string[]): Delivery | undefined {
  const entry = new Map(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1] ?? ''] as const] : [])));
  const [id = '', type = '', url = '', signedFor = ''] = ['id', 'type', 'url', 'signedFor'].map((name) =>
    entry.get(name),
  );
  const common = { type, url, ...(signedFor === '' ? {} : { signedFor }) };
  const event = JSON.parse(entry.get('event') ?? '{}');
  if (type === WEBHOOK_TEST) {
    const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data: {} });
    return { ...common, id, body, renderId: null, owner: event.owner || null };
  }
  const stored = storedEventSchema.safeParse(event).data;
  if (!stored || !NAMES.has(type)) return undefined;
  const body = JSON.stringify(toRenderEvent(type as RenderEventName, id, stored));
  return { ...common, id: `evt_${id}`, body, renderId: stored.renderId, owner: stored.owner ?? null };
}
