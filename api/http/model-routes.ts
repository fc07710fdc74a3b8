import type { FastifyReply } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { loadAnswerSchema, modelListSchema, unloadAnswerSchema } from '../../shared/views/models-view.ts';
import { errorBodySchema } from '../../shared/views/render-view.ts';
import type { Services } from '../services.ts';

const modelParams = z.object({ id: z.string().min(1).max(64) });
const failures = { '4xx': errorBodySchema, '5xx': errorBodySchema };

/** /v1/models: what there is, and loading and unloading by hand. */
export const modelRoutes: FastifyPluginAsyncZod<Services> = async (app, { live, models }) => {
  app.get(
    '/v1/models',
    {
      schema: {
        summary: 'Every configured model: usable or not, where it is loaded, memory, speed, use',
        response: { 200: modelListSchema, ...failures },
      },
    },
    async () => await models.list(),
  );

  app.post(
    '/v1/models/:id/load',
    {
      schema: {
        summary: 'Load a model on a GPU, ahead of its first request',
        params: modelParams,
        body: z.strictObject({ gpu: z.int().nonnegative().optional() }).nullish(),
        response: { 200: loadAnswerSchema, ...failures },
      },
    },
    async ({ params: { id }, body }, reply) => {
      const gpu = body?.gpu;
      if (gpu !== undefined) {
        await models.refuseUnusable(id);
        await models.refuseGpu(id, gpu);
      }
      const { gpuId, modelWasLoaded, modelLoadMs } = await live.load(id, gpu, whileConnected(reply));
      return { id, gpu: gpuId, was_loaded: modelWasLoaded, load_ms: modelLoadMs };
    },
  );

  app.post(
    '/v1/models/:id/unload',
    {
      schema: {
        summary: 'Unload a model on every GPU, as soon as nothing uses it',
        params: modelParams,
        response: { 200: unloadAnswerSchema, ...failures },
      },
    },
    async ({ params: { id } }, reply) => ({ id, gpus: await models.unload(id, whileConnected(reply)) }),
  );
};

/** Aborted when the caller goes away. Fastify's own signal is aborted as soon as the body of a request has been read. */
function whileConnected({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => gone.abort());
  return gone.signal;
}
