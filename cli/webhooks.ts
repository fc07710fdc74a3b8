import { setTimeout as sleep } from 'node:timers/promises';
import type { FarmClient } from '../client/farm-client.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { DeliveryTry } from '../shared/views/webhook-view.ts';
import { type FarmOptions, openFarm } from './farm-address.ts';
import { printJson, sayUnless } from './json-output.ts';
import type { JsonOption } from './options.ts';
import { table } from './table.ts';

export interface ListTriesOptions extends FarmOptions, JsonOption {
  readonly render?: string;
  readonly limit: number;
}

/** Longer than the farm waits for an answer of a webhook. */
const TEST_WITHIN_MS = 40_000;
const LOOK_EVERY_MS = 200;
/** Of a try that ended well. */
const DELIVERED = 'delivered';

/** `farm webhooks`: a line a try. */
export async function listTries({ render, limit, ...options }: ListTriesOptions): Promise<void> {
  const deliveries = await openFarm(options).deliveries({ ...(render ? { renderId: render } : {}), limit });
  if (options.json) return printJson({ deliveries });
  const rows = deliveries.map((one) => [
    one.at,
    one.type,
    one.render_id ?? '',
    `${one.attempt}`,
    wordsOf(one),
    one.url,
  ]);
  const text = table([['AT', 'EVENT', 'RENDER', 'TRY', 'WHAT CAME OF IT', 'URL'], ...rows]);
  process.stdout.write(rows.length === 0 ? 'Nothing was sent to a webhook.\n' : `${text}\n`);
}

/**
 * `farm webhooks test [URL]`: sends a message and waits for its first try; the exit code is 1 when that was not taken.
 * FarmError: request_invalid, those of the farm, and deadline_exceeded when nothing was tried.
 */
export async function testWebhook(url: string | undefined, options: FarmOptions & JsonOption): Promise<void> {
  const target = url === undefined ? undefined : URL.parse(url);
  if (target === null) throw new FarmError('request_invalid', `url: got "${url}", expected an address`);
  const farm = openFarm(options);
  const { id } = await farm.testWebhook(target);
  sayUnless(options.json, `Message ${id} is on its way.`);
  const first = await firstTry(farm, id);
  if (options.json) printJson(first);
  else process.stdout.write(`${first.url}: ${wordsOf(first)}\n`);
  if (first.outcome !== DELIVERED) process.exitCode = 1;
}

/** `farm webhooks secrets`: a line a secret. */
export async function printSecrets(options: FarmOptions & JsonOption): Promise<void> {
  const secrets = await openFarm(options).webhookSecrets();
  if (options.json) return printJson({ secrets });
  process.stdout.write(secrets.map((secret) => `${secret}\n`).join(''));
}

async function firstTry(farm: FarmClient, messageId: string): Promise<DeliveryTry> {
  const untilMs = performance.now() + TEST_WITHIN_MS;
  while (performance.now() < untilMs) {
    const [latest] = await farm.deliveries({ messageId, limit: 1 });
    if (latest) return latest;
    await sleep(LOOK_EVERY_MS);
  }
  const text = `Message ${messageId} was not sent within ${TEST_WITHIN_MS / 1000} s; is a media worker running?`;
  throw new FarmError('deadline_exceeded', text);
}

/** "delivered: 200 in 12 ms". */
function wordsOf({ outcome, status, ms, reason }: DeliveryTry): string {
  const answer = status === null ? '' : `${status} `;
  const why = reason === null ? '' : `; ${reason}`;
  return `${outcome.replace('_', ' ')}: ${answer}in ${Math.round(ms)} ms${why}`;
}
