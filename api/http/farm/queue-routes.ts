import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { queueHistoriesSchema } from '../../../shared/views/queue-history-view.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';

/** GET /v1/queues/history: the last minutes of each queue. */
export const queueRoutes: FastifyPluginAsyncZod<Services> = async (app, { gpus }) => {
  const schema = {
    ...{ operationId: 'getQueueHistory', tags: ['gpus'], summary: 'The last minutes of each queue' },
    response: { 200: queueHistoriesSchema, ...failures('forbidden') },
  };
  app.get('/v1/queues/history', { schema, config: { access: 'operate' } }, async () => await gpus.history.read());
};
