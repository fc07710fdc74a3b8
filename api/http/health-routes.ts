import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import { errorBodySchema } from '../../shared/views/render-view.ts';
import type { Services } from '../services.ts';

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

function isReady(app: App, { redis }: Services): void {
  const workers = z.object({
    status: z.enum(['ready', 'not ready']),
    gpus: z.array(z.int()),
    media_workers: z.int(),
  });
  const schema = {
    ...{ operationId: 'isReady', tags, security, summary: 'Are Redis and workers of both kinds there?' },
    response: { 200: workers, 503: z.union([workers, errorBodySchema]) },
  };
  app.get('/readyz', { schema, config }, async (_request, reply) => {
    const heartbeats = await readHeartbeats(redis);
    const gpus = heartbeats.flatMap(({ gpuId, draining }) => (gpuId === null || draining ? [] : [gpuId]));
    const mediaWorkers = heartbeats.filter(({ gpuId, draining }) => gpuId === null && !draining).length;
    const ready = gpus.length > 0 && mediaWorkers > 0;
    reply.status(ready ? 200 : 503);
    return { status: ready ? ('ready' as const) : ('not ready' as const), gpus, media_workers: mediaWorkers };
  });
}
