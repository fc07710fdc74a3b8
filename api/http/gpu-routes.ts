import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { gpuListSchema, gpuViewSchema } from '../../shared/views/gpu-view.ts';
import { errorBodySchema } from '../../shared/views/render-view.ts';
import type { Services } from '../services.ts';

const gpuParams = z.object({ id: z.coerce.number().int().nonnegative() });
const errors = { '4xx': errorBodySchema, '5xx': errorBodySchema };

/** /v1/gpus: what the GPUs are and do; take one out of service and put it back. */
export const gpuRoutes: FastifyPluginAsyncZod<Services> = async (app, { gpus }) => {
  app.get(
    '/v1/gpus',
    {
      schema: {
        summary: 'GPUs: worker, device, models, backlog, capacity',
        response: { 200: gpuListSchema, ...errors },
      },
    },
    async () => await gpus.list(),
  );

  app.post(
    '/v1/gpus/:id/drain',
    {
      schema: {
        summary: 'Take a GPU out of service: it finishes what runs, its waiting jobs go to others',
        params: gpuParams,
        response: { 200: gpuViewSchema, ...errors },
      },
    },
    async ({ params }) => await gpus.order(params.id, 'drain'),
  );

  app.post(
    '/v1/gpus/:id/resume',
    {
      schema: {
        summary: 'Put a GPU back into service, and unblocks every model there',
        params: gpuParams,
        response: { 200: gpuViewSchema, ...errors },
      },
    },
    async ({ params }) => await gpus.order(params.id, 'resume'),
  );
};
