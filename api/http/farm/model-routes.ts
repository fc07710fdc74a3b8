import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { MODEL_ID } from '../../../shared/limits.ts';
import { loadAnswerSchema, modelListSchema, unloadAnswerSchema } from '../../../shared/views/models-view.ts';
import type { Services } from '../../services.ts';
import { BODY_REFUSALS, failures } from '../openapi.ts';
import { whileConnected } from '../while-connected.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['models'];
/** The id of a model in an address. */
export const modelParams = z.object({ id: z.string().regex(MODEL_ID, 'not a model id') });
const params = modelParams;

/** /v1/models: what there is, and loading and unloading by hand. */
export const modelRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  listModels(app, services);
  loadModel(app, services);
  unloadModel(app, services);
};

function listModels(app: App, { models }: Services): void {
  const schema = {
    operationId: 'listModels',
    ...{ tags, summary: 'Every configured model: usable or not, where it is loaded, memory, speed, use' },
    response: { 200: modelListSchema, ...failures() },
  };
  app.get('/v1/models', { schema, config: { access: 'render' } }, async () => await models.list());
}

function loadModel(app: App, { live }: Services): void {
  const refusals = [
    'model_unknown',
    'model_unusable',
    'model_files_differ',
    'model_too_large',
    'deadline_exceeded',
    'worker_lost',
  ] as const;
  const schema = {
    ...{ operationId: 'loadModel', tags, summary: 'Load a model on a GPU, ahead of its first request' },
    params,
    body: z.strictObject({ gpu: z.int().nonnegative().optional() }).nullish(),
    response: { 200: loadAnswerSchema, ...failures(...refusals, ...BODY_REFUSALS) },
  };
  app.post('/v1/models/:id/load', { schema, config: { access: 'render' } }, async ({ params: { id }, body }, reply) => {
    const wish = { onlyGpu: body?.gpu };
    const { gpuId, modelWasLoaded, modelLoadMs } = await live.load(id, wish, whileConnected(reply));
    return { id, gpu: gpuId, was_loaded: modelWasLoaded, load_ms: modelLoadMs };
  });
}

function unloadModel(app: App, { models }: Services): void {
  const schema = {
    ...{ operationId: 'unloadModel', tags, summary: 'Unload a model on every GPU, as soon as nothing uses it' },
    params,
    response: {
      200: unloadAnswerSchema,
      ...failures('model_unknown', 'model_unusable', 'deadline_exceeded', 'forbidden', 'outcome_unknown'),
    },
  };
  app.post('/v1/models/:id/unload', { schema, config: { access: 'operate' } }, async ({ params: { id } }, reply) => ({
    id,
    gpus: await models.unload(id, whileConnected(reply)),
  }));
}
