import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LAST_GPU } from '../../../shared/limits.ts';
import { gpuListSchema, gpuViewSchema } from '../../../shared/views/gpu-view.ts';
import type { GpuOrder } from '../../../shared/workers/gpu-drains.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';
import { wholeNumber } from '../whole-number.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['gpus'];
const config = { access: 'operate' } as const;

/** /v1/gpus: what the GPUs are and do; take one out of service and put it back. */
export const gpuRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  listGpus(app, services);
  giveOrder(app, services, 'drain', 'Take a GPU out of service: it finishes what runs, its waiting jobs go to others');
  giveOrder(app, services, 'resume', 'Put a GPU back into service, and unblock every model there');
};

function listGpus(app: App, { gpus }: Services): void {
  const schema = {
    ...{ operationId: 'listGpus', tags, summary: 'GPUs: worker, device, models, backlog, capacity' },
    response: { 200: gpuListSchema, ...failures('forbidden') },
  };
  app.get('/v1/gpus', { schema, config }, async () => await gpus.list());
}

function giveOrder(app: App, { gpus }: Services, order: GpuOrder, summary: string): void {
  const schema = {
    ...{ operationId: `${order}Gpu`, tags, summary },
    params: z.object({ id: wholeNumber(0, LAST_GPU) }),
    response: { 200: gpuViewSchema, ...failures('gpu_unknown', 'forbidden', 'outcome_unknown') },
  };
  app.post(`/v1/gpus/:id/${order}`, { schema, config }, async ({ params }) => await gpus.order(params.id, order));
}
