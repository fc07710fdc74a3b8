import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { artifactKeys } from '../../shared/artifacts.ts';
import { FarmError } from '../../shared/errors.ts';
import { isTerminal, type RenderRecord } from '../../shared/renders/record.ts';
import { errorBodySchema, renderPageSchema, renderViewSchema } from '../../shared/views/render-view.ts';
import { viewRender } from '../render-view.ts';
import type { Services } from '../services.ts';
import { readRenderUpload } from './render-upload.ts';
import { sendArtifact } from './send-artifact.ts';

const renderParams = z.object({ id: z.string().regex(/^r[a-z0-9]+-[a-f0-9]+$/, 'not a render id') });
const PAGE_MAX = 100;

/** /v1/renders: submit, watch, fetch, cancel. */
export const renderRoutes: FastifyPluginAsyncZod<Services> = async (app, { config, renders, store, artifacts }) => {
  app.post(
    '/v1/renders',
    {
      schema: {
        summary: 'Submit audio (multipart/form-data: file "audio", fields model_id, output, start_frame, jpeg_quality)',
        consumes: ['multipart/form-data'],
        headers: z.looseObject({ 'idempotency-key': z.string().min(1).max(255).optional() }),
        response: { 202: renderViewSchema, '4xx': errorBodySchema, '5xx': errorBodySchema },
      },
    },
    async (request, reply) => {
      // Refuse before the upload is read; submit counts again when the record is written.
      await renders.refuseIfFull();
      const { upload, options } = await readRenderUpload(request, renders, config);
      const record = await renders.submit(upload, options, request.headers['idempotency-key']);
      reply.status(202).header('location', `/v1/renders/${record.renderId}`);
      return await viewRender(record, store);
    },
  );

  app.get(
    '/v1/renders',
    {
      schema: {
        summary: 'Renders, newest first',
        querystring: z.object({
          limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(20),
          before: renderParams.shape.id.optional(),
        }),
        response: { 200: renderPageSchema, '4xx': errorBodySchema, '5xx': errorBodySchema },
      },
    },
    async ({ query: { limit, before } }) => {
      const records = await store.list(limit, before);
      const last = records.length === limit ? records.at(-1) : undefined;
      return {
        renders: await Promise.all(records.map((record) => viewRender(record, store))),
        next: last ? `/v1/renders?limit=${limit}&before=${last.renderId}` : null,
      };
    },
  );

  app.get(
    '/v1/renders/:id',
    {
      schema: {
        summary: 'Status, progress and timings of a render',
        params: renderParams,
        response: { 200: renderViewSchema, '4xx': errorBodySchema, '5xx': errorBodySchema },
      },
    },
    async ({ params }) => await viewRender(await renders.get(params.id), store),
  );

  app.delete(
    '/v1/renders/:id',
    { schema: { summary: 'Cancel a running render, or remove a finished one', params: renderParams } },
    async ({ params }, reply) => {
      const outcome = await renders.cancelOrRemove(params.id);
      if (outcome === 'removed') return reply.status(204).send();
      return await viewRender(await renders.get(params.id), store);
    },
  );

  app.get(
    '/v1/renders/:id/video',
    { schema: { summary: 'The finished MP4 (byte ranges work)', params: renderParams } },
    async (request, reply) => {
      const { renderId } = finished(await renders.get(request.params.id), 'mp4');
      const answer = { key: artifactKeys.video(renderId), contentType: 'video/mp4', fileName: `${renderId}.mp4` };
      return await sendArtifact(artifacts, answer, request, reply);
    },
  );

  app.get(
    '/v1/renders/:id/frames/:index',
    {
      schema: {
        summary: 'One frame as JPEG (output=frames), as soon as it is rendered',
        params: renderParams.extend({ index: z.coerce.number().int().nonnegative() }),
      },
    },
    async (request, reply) => {
      const { id, index } = request.params;
      const record = withOutput(await renders.get(id), 'frames');
      const key = artifactKeys.frame(id, index);
      const total = record.plan?.frameCount;
      if (total !== undefined && index >= total) {
        throw new FarmError('frame_unknown', `Render ${id} has frames 0 to ${total - 1}; there is no frame ${index}`);
      }
      if ((await artifacts.size(key)) === undefined) throw unfinished(record, `Frame ${index}`);
      const answer = { key, contentType: 'image/jpeg', fileName: `${id}-${index}.jpg` };
      return await sendArtifact(artifacts, answer, request, reply);
    },
  );

  app.get(
    '/v1/renders/:id/preview',
    { schema: { summary: 'The latest picture of a render that runs, as JPEG', params: renderParams } },
    async ({ params: { id } }, reply) => {
      const { status } = await renders.get(id);
      const jpeg = await store.preview(id);
      if (!jpeg) throw new FarmError('preview_unknown', `Render ${id} has no recent picture; it is ${status}`);
      return reply.type('image/jpeg').header('cache-control', 'no-store').send(jpeg);
    },
  );

  app.get(
    '/v1/renders/:id/receipt',
    { schema: { summary: 'What was rendered, from what, by whom', params: renderParams } },
    async (request, reply) => {
      const { renderId } = finished(await renders.get(request.params.id), undefined);
      const answer = {
        key: artifactKeys.receipt(renderId),
        contentType: 'application/json',
        fileName: `${renderId}-receipt.json`,
      };
      return await sendArtifact(artifacts, answer, request, reply);
    },
  );
};

function withOutput(record: RenderRecord, output: RenderRecord['request']['output'] | undefined): RenderRecord {
  if (output === undefined || record.request.output === output) return record;
  const { renderId, request } = record;
  throw new FarmError('output_not_kept', `Render ${renderId} was made with output=${request.output}, not ${output}`);
}

/** The record, if the render is complete and of that output; else an error that says what it is instead. */
function finished(record: RenderRecord, output: RenderRecord['request']['output'] | undefined): RenderRecord {
  withOutput(record, output);
  if (record.status === 'completed') return record;
  throw unfinished(record, 'The result');
}

function unfinished({ renderId, status, error }: RenderRecord, wanted: string): FarmError {
  if (status === 'failed') {
    return new FarmError('render_failed', `Render ${renderId} failed: ${error?.message ?? 'the reason is not known'}`);
  }
  if (isTerminal(status) && status !== 'completed') {
    return new FarmError('render_cancelled', `Render ${renderId} was cancelled`);
  }
  return new FarmError('render_not_finished', `${wanted} of render ${renderId} is not there yet; it is ${status}`);
}
