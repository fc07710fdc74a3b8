import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { askOutside, readBounded } from '../../shared/net/ask-outside.ts';
import type { DeliveryTry } from '../../shared/views/webhook-view.ts';
import { type Deliveries, type Delivery, shownUrl } from '../../shared/webhooks/deliveries.ts';
import { secretOfKey, signatureHeaders } from '../../shared/webhooks/signature.ts';
import { type JobContext, type JobHandler, TryAgain } from '../jobs/job-runner.ts';
import { retryAfterMs } from './retry-after.ts';

/** For all of a try: name, connection, answer. */
const TIMEOUT_MS = 15_000;
/** Of an answer nothing is needed; so much is read that its connection ends well. */
const MOST_OF_ANSWER = 16 * 1024;
const GONE = 410;
/** The part by which a wait is longer, at most. */
const JITTER = 0.2;

/** What a try came to. */
interface Result {
  /** HTTP status of the answer; null without one. */
  readonly status: number | null;
  /** Absent: it was delivered. */
  readonly fault?: FarmError;
  /** How long the other side asks to wait before the next try. */
  readonly askedWaitMs?: number | undefined;
}

/**
 * Sends a message to a webhook. It is done when that answers with 2xx, and given up when it answers 410 or may not be
 * asked at all; else it is tried again, after waits that double, and not before the other side wants it. 410 ends all
 * messages about the render to that address. A try that this worker does not live to see the end of is made again: a
 * message may come twice, and its id tells.
 */
export function webhookHandler(config: Config, deliveries: Deliveries): JobHandler<'webhook'> {
  return async ({ deliveryId }, context) => {
    const delivery = await deliveries.find(deliveryId);
    if (!delivery) return 'skipped: it was delivered or given up';
    const startMs = performance.now();
    const isGone = delivery.renderId !== null && (await deliveries.isGone(delivery));
    const result = isGone ? goneBefore(delivery) : await send(config, delivery, context.signal);
    if (context.signal.aborted) throw context.signal.reason;
    const { status, fault } = result;
    const outcome = isGone ? 'gone' : outcomeOf(result, context, config);
    const attempt: DeliveryTry = {
      ...{ id: delivery.id, at: new Date().toISOString(), type: delivery.type, render_id: delivery.renderId },
      ...{ owner: delivery.owner, url: shownUrl(delivery.url), attempt: context.attempt, outcome, status },
      ...{ ms: Math.round(performance.now() - startMs), reason: fault?.message ?? null },
    };
    await deliveries.log(attempt);
    if (outcome === 'gone' && !isGone) await end(delivery, { config, deliveries, context });
    if (outcome !== 'failed') await deliveries.forget(deliveryId);
    if (outcome === 'delivered' || outcome === 'gone') return outcome;
    context.log.warn(
      { delivery: deliveryId, render: delivery.renderId, outcome, reason: fault?.message },
      'webhook failed',
    );
    throw again(result, outcome, context, config);
  };
}

function goneBefore({ url }: Delivery): Result {
  return { status: null, fault: new FarmError('remote_failed', `${shownUrl(url)} has answered 410 about this render`) };
}

/** Notes that an address wants to hear no more. */
async function end(
  delivery: Delivery,
  { config, deliveries, context }: { config: Config; deliveries: Deliveries; context: JobContext },
): Promise<void> {
  if (delivery.renderId !== null) await deliveries.noteGone(delivery);
  const facts = { delivery: delivery.id, render: delivery.renderId, url: shownUrl(delivery.url) };
  if (delivery.url === config.webhooks.default_url && delivery.signedFor === undefined) {
    context.log.warn(
      facts,
      'webhooks.default_url answered 410 Gone: take it out of the configuration, or mend its server',
    );
  } else context.log.info(facts, 'a webhook answered 410 Gone: it hears no more of this render');
}

/** What to throw, so that the message is tried again when it should be. */
function again({ fault, askedWaitMs }: Result, outcome: string, { attempt }: JobContext, { webhooks }: Config): Error {
  const error = fault ?? new FarmError('internal', 'A webhook failed without a fault');
  if (outcome !== 'failed' || askedWaitMs === undefined) return error;
  const ownWaitMs = webhooks.first_wait_seconds * 1000 * 2 ** (attempt - 1);
  // Messages that were turned away together do not come back together.
  const waitMs = Math.max(askedWaitMs, ownWaitMs) * (1 + JITTER * Math.random());
  return new TryAgain(Date.now() + waitMs, error);
}

async function send(
  { webhooks }: Config,
  { id, url, body, signedFor }: Delivery,
  signal: AbortSignal,
): Promise<Result> {
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
    const askedWaitMs = retryAfterMs(answer, Date.now());
    const wait = askedWaitMs === undefined ? '' : `, and asked to wait ${Math.ceil(askedWaitMs / 1000)} s`;
    return {
      ...{ status, askedWaitMs },
      fault: new FarmError('remote_failed', `${shownUrl(url)} answered with status ${status}${wait}`),
    };
  } catch (error) {
    return { status: null, fault: FarmError.from(error) };
  }
}

function outcomeOf(
  { status, fault }: Result,
  { lastTry, attempt }: JobContext,
  { webhooks }: Config,
): DeliveryTry['outcome'] {
  if (!fault) return 'delivered';
  if (status === GONE) return 'gone';
  // Waits that the other side asked for cost the job no attempt: counted is how often it was taken up.
  return lastTry || attempt >= webhooks.attempts || !fault.retryable ? 'given_up' : 'failed';
}
