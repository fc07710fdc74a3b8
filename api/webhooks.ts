import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { parseOutsideUrl } from '../shared/net/outside-url.ts';
import { ENDS_OF_RENDERS, type WebhookEventName } from '../shared/renders/events.ts';
import type { RenderWebhook } from '../shared/renders/record.ts';
import type { DeliveryTry } from '../shared/views/webhook-view.ts';
import { Deliveries } from '../shared/webhooks/deliveries.ts';
import { addTest } from '../shared/webhooks/outbox.ts';
import { secretOfKey } from '../shared/webhooks/signature.ts';
import { type Caller, maySee, seesAll } from './access/caller.ts';

/** Whom its sender wants to be told of a render, and of what; absent: of its end. */
export interface WantedWebhook {
  readonly url: string;
  readonly events?: readonly WebhookEventName[];
}

/** FarmError('request_invalid') for events without an address. */
export function withWebhook(
  url: string | undefined,
  events: readonly WebhookEventName[] | undefined,
): { webhook?: WantedWebhook } {
  if (url === undefined && events !== undefined) {
    throw new FarmError('request_invalid', 'webhook_events: needs a webhook_url');
  }
  return url === undefined ? {} : { webhook: { url, ...(events ? { events } : {}) } };
}

/** Webhooks of renders: whom they are for, their trial, and the log of what was sent. Without a transport. */
export class Webhooks {
  readonly #config: Config['webhooks'];
  readonly #redis: Redis;
  readonly #deliveries: Deliveries;

  constructor({ webhooks }: Pick<Config, 'webhooks'>, redis: Redis) {
    this.#config = webhooks;
    this.#redis = redis;
    this.#deliveries = new Deliveries(redis);
  }

  /**
   * Where a render's events go. @param wanted by its sender; undefined: as it is configured, if it is.
   * FarmError: request_invalid, address_refused, webhooks_off.
   */
  of(wanted: WantedWebhook | undefined, caller: Caller): RenderWebhook | undefined {
    const { default_url, default_events, secrets } = this.#config;
    if (wanted === undefined) {
      return default_url === '' || secrets.length === 0 ? undefined : { url: default_url, events: default_events };
    }
    this.#refuseWithoutSecrets();
    parseOutsideUrl(wanted.url, {
      allowPrivate: this.#config.allow_private_addresses,
      allowed: this.#config.allowed_addresses,
    });
    const own = seesAll(caller) || caller.keyName === undefined ? {} : { signedFor: caller.keyName };
    return { url: wanted.url, events: [...(wanted.events ?? ENDS_OF_RENDERS)], ...own };
  }

  /** Sends a message to try a webhook, and returns its id. FarmError: as above. */
  async test(url: string | undefined, caller: Caller): Promise<string> {
    const webhook = this.of(url === undefined ? undefined : { url }, caller);
    this.#refuseWithoutSecrets();
    if (!webhook)
      throw new FarmError('request_invalid', 'There is no webhooks.default_url, and the request names no url');
    const id = `test_${randomUUID()}`;
    await addTest(this.#redis, id, webhook, caller.keyName ?? '');
    return id;
  }

  /** The secrets by which the caller checks what is sent to his webhooks. FarmError('webhooks_off'). */
  secretsOf(caller: Caller): string[] {
    this.#refuseWithoutSecrets();
    const { keyName } = caller;
    const { secrets } = this.#config;
    return seesAll(caller) || keyName === undefined ? secrets : secrets.map((one) => secretOfKey(one, keyName));
  }

  /** The latest tries, newest first. */
  async tries(
    limit: number,
    of: { id?: string | undefined; render?: string | undefined },
    caller: Caller,
  ): Promise<DeliveryTry[]> {
    return await this.#deliveries.tries(
      limit,
      ({ id, render_id, owner }) =>
        maySee(caller, owner ?? undefined) &&
        (of.id === undefined || of.id === id) &&
        (of.render === undefined || of.render === render_id),
    );
  }

  #refuseWithoutSecrets(): void {
    if (this.#config.secrets.length > 0) return;
    throw new FarmError('webhooks_off', 'The farm has no webhooks.secrets, so it sends no webhooks');
  }
}
