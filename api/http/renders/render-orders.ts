import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { renderViewSchema } from '../../../shared/views/render-view.ts';
import type { Services } from '../../services.ts';
import { failures, nothing } from '../openapi.ts';
import { renderParams as params } from './render-routes.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['renders'];
const config = { access: 'render' } as const;

/** When DELETE of an unfinished render was deprecated, as RFC 9745 wants it: seconds since 1970. */
const DELETE_AS_CANCEL_SINCE = `@${Date.UTC(2026, 10, 27) / 1000}`;
/** Where that is described. */
const DEPRECATION_LINK = '</openapi.json>; rel="deprecation"; type="application/json"';

/** /v1/renders/{id}: cancel, retry and remove. */
export const renderOrders: FastifyPluginAsyncZod<Services> = async (app, services) => {
  cancelRender(app, services);
  retryRender(app, services);
  deleteRender(app, services);
};

function cancelRender(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'cancelRender', tags, summary: 'Cancel a render; one that has ended stays, with its result' },
    params,
    response: { 200: renderViewSchema, ...failures('render_unknown', 'outcome_unknown') },
  };
  app.post(
    '/v1/renders/:id/cancel',
    { schema, config },
    async ({ params: { id }, caller }) => await renders.cancel(id, caller),
  );
}

function retryRender(app: App, { retry }: Services): void {
  const refusals = ['render_cancelled', 'render_not_resumable', 'queue_full', 'key_limit_reached'] as const;
  const schema = {
    ...{ operationId: 'retryRender', tags, summary: 'Take a failed render up again: only what is missing is made' },
    params,
    response: { 200: renderViewSchema, ...failures('render_unknown', ...refusals, 'outcome_unknown') },
  };
  app.post(
    '/v1/renders/:id/retry',
    { schema, config },
    async ({ params: { id }, caller }) => await retry.retry(id, caller),
  );
}

function deleteRender(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'deleteRender', tags, summary: 'Remove a render that has ended, record and files' },
    description:
      'Deprecated: of an unfinished render this cancels it and answers 200, with the header Deprecation. The next ' +
      'version will refuse that. A request that comes too late removes the result; POST /v1/renders/{id}/cancel never does.',
    params,
    response: {
      200: renderViewSchema.describe('It was unfinished and is cancelled (deprecated)'),
      204: nothing('Removed, record and files'),
      ...failures('render_unknown', 'outcome_unknown'),
    },
  };
  app.delete('/v1/renders/:id', { schema, config }, async (request, reply) => {
    const cancelled = await renders.remove(request.params.id, request.caller);
    if (!cancelled) return reply.status(204).send();
    reply.header('deprecation', DELETE_AS_CANCEL_SINCE).header('link', DEPRECATION_LINK);
    return cancelled;
  });
}
