import { z } from 'zod';
import { ENDS_OF_RENDERS, WEBHOOK_EVENTS } from '../renders/events.ts';
import { WEBHOOK_SECRET } from '../webhooks/signature.ts';
import { orDefault, positiveInt, section } from './value-forms.ts';

/** An address, or a network of addresses such as 10.0.0.0/8. */
const NETWORK = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()]);
const MOST_ATTEMPTS = 20;

/** The section `webhooks`. */
export const webhooks = section({
  /** Where events of renders go that name no webhook of their own; empty: nowhere. */
  default_url: z.union([z.literal(''), z.url({ protocol: /^https?$/ })]).default(''),
  /** What is told there. */
  default_events: orDefault(z.array(z.enum(WEBHOOK_EVENTS)).min(1), [...ENDS_OF_RENDERS]),
  /** Sign what is sent: the first is the one in use, others are of a change. Without any there are no webhooks. */
  secrets: z.array(z.string().regex(WEBHOOK_SECRET, 'expected whsec_ and 24 to 64 bytes in base64')).default([]),
  /** Lets webhooks lead to private and loopback addresses. */
  allow_private_addresses: z.boolean().default(false),
  /** Addresses and networks that webhooks may lead to, whatever they are. */
  allowed_addresses: z.array(NETWORK).default([]),
  /** Tries of a message in all. */
  attempts: orDefault(z.int().min(1).max(MOST_ATTEMPTS), 14),
  /** Before the second try; it doubles with each. */
  first_wait_seconds: positiveInt(5),
});
