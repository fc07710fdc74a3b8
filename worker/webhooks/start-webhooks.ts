import type { Config } from '../../shared/config/load.ts';
import { type QueueClients, WEBHOOK_QUEUE } from '../../shared/jobs/queues.ts';
import { repeat } from '../../shared/process/repeat.ts';
import { WEBHOOK_CHANNEL } from '../../shared/renders/event-scripts.ts';
import { Deliveries } from '../../shared/webhooks/deliveries.ts';
import { WebhookOutbox } from '../../shared/webhooks/outbox.ts';
import { Consumer } from '../jobs/consumer.ts';
import type { WorkerTools } from '../jobs/worker-tools.ts';
import { webhookHandler } from './deliver.ts';

/** They wait for other people's servers nearly all of the time. */
const AT_ONCE = 16;
/** The message on the channel only speeds this up. */
const LOOK_EVERY_MS = 3000;

/** Empties the outbox into the queue and sends what is on it. Returns how to drain that. */
export async function startWebhooks(
  config: Config,
  { connection, subscriber, log }: WorkerTools,
  queues: QueueClients,
): Promise<(patienceMs: number) => Promise<void>> {
  const { attempts: most, first_wait_seconds } = config.webhooks;
  const outbox = new WebhookOutbox(connection, queues, { most, firstWaitMs: first_wait_seconds * 1000 });
  const emptying = repeat(() => outbox.empty(), { name: 'send webhooks', everyMs: LOOK_EVERY_MS, log, first: 'now' });
  subscriber.on('message', (channel: string) => {
    if (channel === WEBHOOK_CHANNEL) emptying.now();
  });
  await subscriber.subscribe(WEBHOOK_CHANNEL);
  const consumer = new Consumer({
    ...{ queue: queues.named(WEBHOOK_QUEUE), connection, log, concurrency: AT_ONCE },
    handlers: { webhook: webhookHandler(config, new Deliveries(connection)) },
    onLost: async ({ deliveryId }) => log.error({ delivery: deliveryId }, 'a webhook ended its worker every time'),
  });
  return async (patienceMs) => {
    await emptying.stop();
    await consumer.drain(patienceMs);
  };
}
