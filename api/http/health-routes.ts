import type { FastifyPluginAsync } from 'fastify';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import type { Services } from '../services.ts';

/** /healthz: this process runs. /readyz: the farm can take a render and work on it. */
export const healthRoutes: FastifyPluginAsync<Services> = async (app, { redis }) => {
  app.get('/healthz', { schema: { summary: 'Is this process alive?' } }, async () => ({ status: 'ok' }));

  app.get('/readyz', { schema: { summary: 'Are Redis and workers of both kinds there?' } }, async (_request, reply) => {
    const heartbeats = await readHeartbeats(redis);
    const gpus = heartbeats.flatMap(({ gpuId, draining }) => (gpuId === null || draining ? [] : [gpuId]));
    const mediaWorkers = heartbeats.filter(({ gpuId, draining }) => gpuId === null && !draining).length;
    const ready = gpus.length > 0 && mediaWorkers > 0;
    reply.status(ready ? 200 : 503);
    return { status: ready ? 'ready' : 'not ready', gpus, media_workers: mediaWorkers };
  });
};
