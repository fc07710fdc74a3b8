import { z } from 'zod';

/** One try, as clients read it. */
export const deliveryTrySchema = z
  .object({
    /** `webhook-id` of the message. */
    id: z.string(),
    at: z.string(),
    type: z.string(),
    render_id: z.string().nullable(),
    owner: z.string().nullable(),
    /** Without its query, which may hold a secret. */
    url: z.string(),
    attempt: z.int(),
    outcome: z.enum(['delivered', 'gone', 'failed', 'given_up']),
    /** HTTP status of the answer; null without one. */
    status: z.int().nullable(),
    ms: z.number(),
    /** What went wrong, in words. */
    reason: z.string().nullable(),
  })
  .meta({ id: 'WebhookDelivery' });
export type DeliveryTry = z.infer<typeof deliveryTrySchema>;

export const deliveryListSchema = z.object({ deliveries: z.array(deliveryTrySchema) });

/** A message to try a webhook is on its way. */
export const webhookTestSchema = z.object({ id: z.string(), links: z.object({ deliveries: z.string() }) });
export type WebhookTest = z.infer<typeof webhookTestSchema>;

/** What signs the messages to webhooks of the key that asks. */
export const webhookSecretsSchema = z.object({ secrets: z.array(z.string()) });
