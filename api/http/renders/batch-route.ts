import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NAME_MAX } from '../../../shared/limits.ts';
import { batchSchema } from '../../../shared/views/batch-view.ts';
import { submitBatch } from '../../renders/batch.ts';
import type { Services } from '../../services.ts';
import { failures } from '../openapi.ts';
import { whileConnected } from '../while-connected.ts';
import { batchBodySchema, readBatch } from './batch-upload.ts';
import { batchFormSchema } from './render-upload.ts';

/** POST /v1/renders/batch: many sounds in one request. */
export const batchRoute: FastifyPluginAsyncZod<Services> = async (app, { config, submission }) => {
  // A body of any other type is not read, and refused by the route.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  const schema = {
    ...{ operationId: 'submitBatch', tags: ['renders'], summary: 'Submit many sounds; each is taken or refused alone' },
    consumes: ['multipart/form-data'],
    headers: z.looseObject({ 'idempotency-key': z.string().min(1).max(NAME_MAX).optional() }),
    response: { 200: batchSchema, ...failures('upload_missing', 'body_too_large') },
  };
  const routeConfig = { access: 'render', form: batchFormSchema(config), json: batchBodySchema } as const;
  app.post('/v1/renders/batch', { schema, config: routeConfig }, async (request, reply) => {
    const submitter = { caller: request.caller, idempotencyKey: request.headers['idempotency-key'] };
    const items = await readBatch(request, { submission, config, submitter, connected: whileConnected(reply) });
    return await submitBatch(submission, items);
  });
};
