import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NAME_MAX, PAGE } from '../../../shared/limits.ts';
import { deliveryListSchema, webhookSecretsSchema, webhookTestSchema } from '../../../shared/views/webhook-view.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';
import { wholeNumber } from '../whole-number.ts';

const tags = ['webhooks'];
const config = { access: 'render' } as const;

/** /v1/webhooks: try one, see what was sent, and the secrets that sign it. */
export const webhookRoutes: FastifyPluginAsyncZod<Services> = async (app, { webhooks }) => {
  const test = {
    ...{ operationId: 'testWebhook', tags, summary: 'Send a message to try a webhook' },
    body: z.strictObject({ url: z.string().optional() }).nullish(),
    response: {
      202: webhookTestSchema,
      ...failures('webhooks_off', 'address_refused'),
    },
  };
  app.post('/v1/webhooks/test', { schema: test, config }, async ({ body, caller }, reply) => {
    const id = await webhooks.test(body?.url, caller);
    reply.status(202);
    return { id, links: { deliveries: `/v1/webhooks/deliveries?id=${id}` } };
  });
  const deliveries = {
    ...{ operationId: 'listDeliveries', tags, summary: 'What was sent to webhooks, newest first' },
    querystring: z.strictObject({
      limit: wholeNumber(PAGE.min, PAGE.max).default(PAGE.default),
      id: z.string().max(NAME_MAX).optional().describe('Only tries of this message'),
      render: z.string().max(NAME_MAX).optional().describe('Only those about this render'),
    }),
    response: { 200: deliveryListSchema, ...failures() },
  };
  app.get('/v1/webhooks/deliveries', { schema: deliveries, config }, async ({ query: { limit, ...of }, caller }) => ({
    deliveries: await webhooks.tries(limit, of, caller),
  }));
  const secrets = {
    ...{
      operationId: 'getWebhookSecrets',
      tags,
      summary: 'The secrets that sign what is sent to webhooks of this key',
    },
    response: { 200: webhookSecretsSchema, ...failures('webhooks_off') },
  };
  app.get('/v1/webhooks/secrets', { schema: secrets, config }, async ({ caller }, reply) => {
    reply.header('cache-control', 'no-store');
    return { secrets: webhooks.secretsOf(caller) };
  });
};
