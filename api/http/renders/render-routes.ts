import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ErrorCode } from '../../../shared/errors/catalogue.ts';
import { LAST_FRAME, NAME_MAX } from '../../../shared/limits.ts';
import { logged } from '../../../shared/process/unheard.ts';
import { RENDER_ID } from '../../../shared/renders/id.ts';
import { receiptSchema, renderViewSchema } from '../../../shared/views/render-view.ts';
import type { PictureName } from '../../renders/files.ts';
import type { Services } from '../../services.ts';
import { bytesOf, failures, nothing } from '../openapi.ts';
import { policy } from '../security-headers.ts';
import { sendFile, sendFileOrAddress } from '../send-file.ts';
import { whileConnected } from '../while-connected.ts';
import { wholeNumber } from '../whole-number.ts';
import { announcedBytes, readRenderUpload, renderFormSchema } from './render-upload.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];

const tags = ['renders'];
const access = 'render';
const config = { access } as const;

/** The address of one render. */
export const renderParams = z.object({ id: z.string().regex(RENDER_ID, 'not a render id') });
const params = renderParams;

/** /v1/renders: submit, watch, fetch. */
export const renderRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  // An upload of any other type is not read, and refused by its route.
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  submitRender(app, services);
  getRender(app, services);
  getVideo(app, services);
  getFrame(app, services);
  getReceipt(app, services);
  getPicture(app, services, 'contact-sheet', 'A picture of evenly spaced frames, with their times', 'image/jpeg');
  getPicture(app, services, 'waveform', "The voice, and the mouth's opening under it", 'image/svg+xml');
  getPicture(app, services, 'waterfall', 'Which step ran when, and on which GPU', 'image/svg+xml');
};

function submitRender(app: App, services: Services): void {
  const { config, submission } = services;
  const refusals = [
    'upload_unknown',
    'upload_incomplete',
    'landmarks_missing',
    'model_unknown',
    'model_unusable',
    'queue_full',
    'key_limit_reached',
    'idempotency_conflict',
    'address_refused',
    'remote_failed',
    'storage_failed',
    'storage_full',
    'outcome_unknown',
  ] as const;
  const schema = {
    ...{ operationId: 'submitRender', tags, summary: 'Submit an audio file' },
    consumes: ['multipart/form-data'],
    headers: z.looseObject({ 'idempotency-key': z.string().min(1).max(NAME_MAX).optional() }),
    response: {
      202: renderViewSchema,
      ...failures('upload_missing', 'upload_too_large', 'audio_empty', ...refusals),
    },
  };
  app.post(
    '/v1/renders',
    // Only the form is described, which can say all: generated clients that find JSON beside it send no files.
    { schema, config: { access, form: renderFormSchema(config) } },
    async (request, reply) => {
      const submitter = { caller: request.caller, idempotencyKey: request.headers['idempotency-key'] };
      // Refuse before the upload is read; submit counts again when the record is written.
      await submission.refuseIfFull(submitter, announcedBytes(request));
      const { upload, options } = await readRenderUpload(request, services, whileConnected(reply));
      const view = await submission.submit(upload, options, submitter);
      if (upload.stays && view.id === upload.renderId) {
        await services.uploads
          .rendered(view.id)
          .catch(logged('an upload that is rendered counts as begun until it expires'));
      }
      reply.status(202).header('location', view.links.self);
      return view;
    },
  );
}

function getRender(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'getRender', tags, summary: 'Status, progress and timings of a render' },
    params,
    response: { 200: renderViewSchema, ...failures('render_unknown') },
  };
  app.get('/v1/renders/:id', { schema, config }, async ({ params: { id }, caller }) => await renders.get(id, caller));
}

function getVideo(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'getVideo', tags, summary: 'The finished MP4 or WebM' },
    ...{
      params,
      headers: fileHeaders,
      response: { ...fileAnswers(['video/mp4', 'video/webm'], 'output_not_kept'), ...elsewhere },
    },
  };
  app.get('/v1/renders/:id/video', { schema, config }, async (request, reply) =>
    sendFileOrAddress(await renders.video(request.params.id, request.caller), request, reply),
  );
}

function getFrame(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'getFrame', tags, summary: 'One frame as JPEG or PNG, as soon as it is rendered' },
    params: params.extend({ index: wholeNumber(0, LAST_FRAME) }),
    headers: fileHeaders,
    response: { ...fileAnswers(['image/jpeg', 'image/png'], 'output_not_kept', 'frame_unknown'), ...elsewhere },
  };
  app.get('/v1/renders/:id/frames/:index', { schema, config }, async (request, reply) => {
    const { id, index } = request.params;
    return await sendFileOrAddress(await renders.frame(id, index, request.caller), request, reply);
  });
}

function getReceipt(app: App, { renders }: Services): void {
  const schema = {
    ...{ operationId: 'getReceipt', tags, summary: 'What was rendered, from what, by whom' },
    ...{ params, headers: fileHeaders, response: { ...fileAnswers(['application/json']), 200: receiptSchema } },
  };
  app.get('/v1/renders/:id/receipt', { schema, config }, async (request, reply) =>
    sendFile(await renders.receipt(request.params.id, request.caller), request, reply),
  );
}

function getPicture(app: App, { renders }: Services, name: PictureName, summary: string, contentType: string): void {
  // A drawing needs a header of its own, which a bucket does not send.
  const isRedirected = contentType === 'image/jpeg';
  const operationId = `get${name[0]?.toUpperCase()}${name.slice(1).replace('-s', 'S')}`;
  const schema = {
    ...{ operationId, tags, summary: `${summary}, of a finished render` },
    ...{
      params,
      headers: fileHeaders,
      response: { ...fileAnswers([contentType], 'picture_unknown'), ...(isRedirected ? elsewhere : {}) },
    },
  };
  app.get(`/v1/renders/:id/${name}`, { schema, config }, async (request, reply) => {
    const picture = await renders.picture(request.params.id, name, request.caller);
    reply.header('content-security-policy', PICTURE_POLICY);
    const send = isRedirected ? sendFileOrAddress : sendFile;
    return await send(picture, request, reply);
  });
}

/** A drawing brings its colours along, for light and dark pages. */
const PICTURE_POLICY = policy({ 'style-src': "'unsafe-inline'" });

const fileHeaders = z.looseObject({
  range: z.string().optional().describe('One range: bytes=first-last'),
  'if-none-match': z.string().optional().describe('Entity tags of what the client has'),
  'if-range': z.string().optional().describe('Entity tag of the file that the range is a part of'),
});

/** Of a route whose file may be got from the store itself. */
const elsewhere = { 307: nothing('Where the file is, for an hour: with storage.redirect') };

/** The answers of a route that sends a file. */
function fileAnswers(contentTypes: readonly string[], ...codes: ErrorCode[]) {
  const notThere = ['render_unknown', 'render_not_finished', 'render_failed', 'render_cancelled'] as const;
  return {
    200: bytesOf('The whole file', ...contentTypes),
    206: bytesOf('The range of it that was asked for', ...contentTypes),
    304: nothing('The client has it'),
    ...failures(...notThere, ...codes, 'range_unsatisfiable', 'storage_failed'),
  };
}
