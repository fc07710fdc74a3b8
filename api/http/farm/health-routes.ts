import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { readinessSchema } from '../../../shared/views/health-view.ts';
import type { Services } from '../../services.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['health'];
/** No key is needed. */
const security: [] = [];
const config = { access: 'open' } as const;

/** /healthz: this process runs. /readyz: the farm can take a render and work on it. */
export const healthRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  isAlive(app);
  isReady(app, services);
};

function isAlive(app: App): void {
  const schema = {
    ...{ operationId: 'isAlive', tags, security, summary: 'Does this process run?' },
    response: { 200: z.object({ status: z.literal('ok') }) },
  };
  app.get('/healthz', { schema, config }, async () => ({ status: 'ok' as const }));
}

function isReady(app: App, { readiness }: Services): void {
  const schema = {
    ...{ operationId: 'isReady', tags, security, summary: 'Can the farm take work and do it, and why not?' },
    response: { 200: readinessSchema, 503: readinessSchema },
  };
  app.get('/readyz', { schema, config }, async (_request, reply) => {
    const view = await readiness.look();
    reply.status(view.status === 'ready' ? 200 : 503);
    return view;
  });
}
