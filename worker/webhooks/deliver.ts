import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors.ts';
import { askOutside, readBounded } from '../../shared/net/ask-outside.ts';
import type { DeliveryTry } from '../../shared/views/webhook-view.ts';
import { type Deliveries, type Delivery, shownUrl } from '../../shared/webhooks/deliveries.ts';
import { secretOfKey, signatureHeaders } from '../../shared/webhooks/signature.ts';
import type { JobContext, JobHandler } from '../jobs/job-runner.ts';

/** For all of a try: name, connection, answer. */
const TIMEOUT_MS = 15_000;
/** Of an answer nothing is needed; so much is read that its connection ends well. */
const MOST_OF_ANSWER = 16 * 1024;
const GONE = 410;

/**
 * Sends a message to a webhook. It is done when that answers with 2xx, and given up when it answers 410 or may not be
 * asked at all; else it is tried again, after waits that double. A try that this worker does not live to see the end of
 * is made again: a message may come twice, and its id tells.
 */
export function webhookHandler(config: Config, deliveries: Deliveries): JobHandler<'webhook'> {
  return async ({ deliveryId }, context) => {
    const delivery = await deliveries.find(deliveryId);
    if (!delivery) return 'skipped: it was delivered or given up';
    const startMs = performance.now();
    const { status, fault } = await send(config, delivery, context.signal);
    if (context.signal.aborted) throw context.signal.reason;
    const outcome = outcomeOf(status, fault, context);
    const attempt: DeliveryTry = {
      ...{ id: delivery.id, at: new Date().toISOString(), type: delivery.type, render_id: delivery.renderId },
      ...{ owner: delivery.owner, url: shownUrl(delivery.url), attempt: context.attempt, outcome, status },
      ...{ ms: Math.round(performance.now() - startMs), reason: fault?.message ?? null },
    };
    await deliveries.log(attempt);
    if (outcome !== 'failed') await deliveries.forget(deliveryId);
    if (outcome === 'given_up' || outcome === 'failed') {
      context.log.warn(
        { delivery: deliveryId, render: delivery.renderId, outcome, reason: fault?.message },
        'webhook failed',
      );
      throw fault ?? new FarmError('internal', 'A webhook failed without a fault');
    }
    return outcome;
  };
}

async function send(
  { webhooks }: Config,
  { id, url, body, signedFor }: Delivery,
  signal: AbortSignal,
): Promise<{ status: number | null; fault?: FarmError }> {
  const secrets =
    signedFor === undefined ? webhooks.secrets : webhooks.secrets.map((one) => secretOfKey(one, signedFor));
  const rules = { allowPrivate: webhooks.allow_private_addresses, allowed: webhooks.allowed_addresses };
  const signed = signatureHeaders({ id, timeS: Math.floor(Date.now() / 1000), body }, secrets);
  const headers = { 'content-type': 'application/json', 'user-agent': 'Lipsync-Farm-Webhooks/1', ...signed };
  try {
    const answer = await askOutside({ url, method: 'POST', headers, body, rules, timeoutMs: TIMEOUT_MS, signal });
    await readBounded(answer.body, MOST_OF_ANSWER, TIMEOUT_MS);
    const { status } = answer;
    if (status >= 200 && status < 300) return { status };
    return { status, fault: new FarmError('remote_failed', `${shownUrl(url)} answered with status ${status}`) };
  } catch (error) {
    return { status: null, fault: FarmError.from(error) };
  }
}

function outcomeOf(
  status: number | null,
  fault: FarmError | undefined,
  { lastTry }: JobContext,
): DeliveryTry['outcome'] {
  if (!fault) return 'delivered';
  if (status === GONE) return 'gone';
  return lastTry || !fault.retryable ? 'given_up' : 'failed';
}
