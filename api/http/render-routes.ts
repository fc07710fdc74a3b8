import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { LAST_FRAME, NAME_MAX, PAGE } from '../../shared/limits.ts';
import { RENDER_ID } from '../../shared/renders/id.ts';
import { errorBodySchema, renderPageSchema, renderViewSchema } from '../../shared/views/render-view.ts';
import type { Services } from '../services.ts';
import { readRenderUpload } from './render-upload.ts';
import { sendFile } from './send-file.ts';
import { wholeNumber } from './whole-number.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const renderId = z.string().regex(RENDER_ID, 'not a render id');
const params = z.object({ id: renderId });
const errors = { '4xx': errorBodySchema, '5xx': errorBodySchema };

/** /v1/renders: submit, watch, fetch, cancel. */
export const renderRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  // An upload of any other type is not read, and refused by its route.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  submitRender(app, services);
  listRenders(app, services);
  getRender(app, services);
  deleteRender(app, services);
  getVideo(app, services);
  getFrame(app, services);
  getPreview(app, services);
  getReceipt(app, services);
};

function submitRender(app: App, { config, renders }: Services): void {
  const schema = {
    summary: 'Submit audio (multipart/form-data: file "audio", fields model_id, output, start_frame, jpeg_quality)',
    consumes: ['multipart/form-data'],
    headers: z.looseObject({ 'idempotency-key': z.string().min(1).max(NAME_MAX).optional() }),
    response: { 202: renderViewSchema, ...errors },
  };
  app.post('/v1/renders', { schema }, async (request, reply) => {
    // Refuse before the upload is read; submit counts again when the record is written.
    await renders.refuseIfFull();
    const { upload, options } = await readRenderUpload(request, renders, config);
    const view = await renders.submit(upload, options, request.headers['idempotency-key']);
    reply.status(202).header('location', view.links.self);
    return view;
  });
}

function listRenders(app: App, { renders }: Services): void {
  const querystring = z.strictObject({
    limit: wholeNumber(PAGE.min, PAGE.max).default(PAGE.default),
    before: renderId.optional(),
  });
  const schema = { summary: 'Renders, newest first', querystring, response: { 200: renderPageSchema, ...errors } };
  app.get('/v1/renders', { schema }, async ({ query: { limit, before } }) => {
    const page = await renders.list(limit, before);
    return { renders: page.renders, next: page.next && `/v1/renders?limit=${limit}&before=${page.next}` };
  });
}

function getRender(app: App, { renders }: Services): void {
  const response = { 200: renderViewSchema, ...errors };
  const schema = { summary: 'Status, progress and timings of a render', params, response };
  app.get('/v1/renders/:id', { schema }, async (request) => await renders.get(request.params.id));
}

function deleteRender(app: App, { renders }: Services): void {
  const schema = { summary: 'Cancel a running render, or remove a finished one', params };
  app.delete('/v1/renders/:id', { schema }, async (request, reply) => {
    const cancelled = await renders.cancelOrRemove(request.params.id);
    return cancelled ?? reply.status(204).send();
  });
}

function getVideo(app: App, { renders }: Services): void {
  const schema = { summary: 'The finished MP4 (byte ranges work)', params };
  app.get('/v1/renders/:id/video', { schema }, async (request, reply) =>
    sendFile(await renders.video(request.params.id), request, reply),
  );
}

function getFrame(app: App, { renders }: Services): void {
  const schema = {
    summary: 'One frame as JPEG (output=frames), as soon as it is rendered',
    params: params.extend({ index: wholeNumber(0, LAST_FRAME) }),
  };
  app.get('/v1/renders/:id/frames/:index', { schema }, async (request, reply) => {
    const { id, index } = request.params;
    return sendFile(await renders.frame(id, index), request, reply);
  });
}

function getPreview(app: App, { renders }: Services): void {
  const schema = { summary: 'The latest picture of a render that runs, as JPEG', params };
  app.get('/v1/renders/:id/preview', { schema }, async (request, reply) => {
    const jpeg = await renders.preview(request.params.id);
    return reply.type('image/jpeg').header('cache-control', 'no-store').send(jpeg);
  });
}

function getReceipt(app: App, { renders }: Services): void {
  const schema = { summary: 'What was rendered, from what, by whom', params };
  app.get('/v1/renders/:id/receipt', { schema }, async (request, reply) =>
    sendFile(await renders.receipt(request.params.id), request, reply),
  );
}
