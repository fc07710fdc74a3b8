import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NAME_MAX } from '../../../shared/limits.ts';
import { RENDER_ID } from '../../../shared/renders/id.ts';
import { uploadViewSchema } from '../../../shared/views/upload-view.ts';
import type { Services } from '../../services.ts';
import { BODY_REFUSALS, failures, nothing } from '../openapi.ts';

const bodySchema = z.strictObject({
  file_name: z.string().min(1).max(NAME_MAX).default('audio'),
  bytes: z.int().positive().describe('Length of the file'),
});
const params = z.object({ id: z.string().regex(RENDER_ID, 'not the id of an upload') });
const tags = ['renders'];
const config = { access: 'render' } as const;
const OF_ONE = ['upload_unknown', 'uploads_unavailable', 'storage_failed'] as const;

/** /v1/uploads: large sounds, in parts that go to the store itself. */
export const uploadRoutes: FastifyPluginAsyncZod<Services> = async (app, { uploads }) => {
  const beginSchema = {
    ...{ operationId: 'beginUpload', tags, summary: 'Begin an upload in parts, which may go on after a break' },
    body: bodySchema,
    response: {
      201: uploadViewSchema,
      ...failures('uploads_unavailable', 'upload_too_large', 'queue_full', 'key_limit_reached', ...BODY_REFUSALS),
      ...failures('storage_full', 'storage_failed'),
    },
  };
  app.post('/v1/uploads', { schema: beginSchema, config }, async ({ body, caller }, reply) => {
    const view = await uploads.begin({ fileName: body.file_name, bytes: body.bytes }, caller);
    return await reply.status(201).send(view);
  });
  const getSchema = {
    ...{ operationId: 'getUpload', tags, summary: 'What has come of an upload, and addresses for the rest', params },
    response: { 200: uploadViewSchema, ...failures(...OF_ONE) },
  };
  app.get('/v1/uploads/:id', { schema: getSchema, config }, async ({ params: { id }, caller }) => {
    return await uploads.get(id, caller);
  });
  const completeSchema = {
    ...{ operationId: 'completeUpload', tags, summary: 'Make the parts one file, which can be rendered', params },
    response: { 200: uploadViewSchema, ...failures(...OF_ONE, 'upload_incomplete') },
  };
  app.post('/v1/uploads/:id/complete', { schema: completeSchema, config }, async ({ params: { id }, caller }) => {
    return await uploads.complete(id, caller);
  });
  const removeSchema = {
    ...{ operationId: 'deleteUpload', tags, summary: 'End an upload, and remove what has come', params },
    response: { 204: nothing('It is gone'), ...failures(...OF_ONE) },
  };
  app.delete('/v1/uploads/:id', { schema: removeSchema, config }, async ({ params: { id }, caller }, reply) => {
    await uploads.remove(id, caller);
    return await reply.status(204).send();
  });
};
