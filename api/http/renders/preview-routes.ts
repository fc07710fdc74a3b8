import { Readable } from 'node:stream';
import type { WebSocket } from '@fastify/websocket';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { LAST_FRAME } from '../../../shared/limits.ts';
import { type RenderPicture, watchPictures } from '../../renders/pictures.ts';
import type { Services } from '../../services.ts';
import { bytesOf, failures } from '../openapi.ts';
import { encodeFrame } from '../sockets/frame-message.ts';
import { sendTo, type WebSockets } from '../sockets/web-sockets.ts';
import { whileConnected } from '../while-connected.ts';
import { wholeNumber } from '../whole-number.ts';
import { renderParams } from './render-routes.ts';

type PreviewServices = Pick<Services, 'renders' | 'videos'> & { readonly sockets: WebSockets };

const BOUNDARY = 'frame';
/** Time for a client to take what is on its way when this front end ends or its key is removed. */
const FAREWELL_MS = 900;

const querystring = z.strictObject({
  as: z.literal('mjpeg').optional().describe('Go on with the pictures that follow, each a part of one long answer'),
  from: wholeNumber(0, LAST_FRAME).optional().describe('With `as`, or over a WebSocket: the first frame to show'),
});

/** GET /v1/renders/{id}/preview: the latest picture, or all that come, as MJPEG or over a WebSocket. */
export const previewRoutes: FastifyPluginAsyncZod<PreviewServices> = async (app, services) => {
  const { renders, sockets } = services;
  const closing = new AbortController();
  app.addHook('preClose', async () => closing.abort());
  const schema = {
    ...{ operationId: 'getPreview', tags: ['renders'], summary: 'The latest picture of a render, or all that come' },
    ...{ params: renderParams, querystring },
    response: {
      200: bytesOf('The picture; with as=mjpeg multipart/x-mixed-replace', 'image/jpeg'),
      ...failures('render_unknown', 'preview_unknown', 'previews_full'),
    },
  };
  app.route({
    ...{ method: 'GET', url: '/v1/renders/:id/preview', schema, config: { access: 'render' } },
    handler: async (request, reply) => {
      const { params, query, caller } = request;
      reply.header('cache-control', 'no-store');
      if (query.as === undefined) return reply.type('image/jpeg').send(await renders.preview(params.id, caller));
      const signal = AbortSignal.any([whileConnected(reply), closing.signal, caller.revoked]);
      const pictures = await watchPictures(services, params.id, { from: query.from, caller }, signal);
      reply.type(`multipart/x-mixed-replace; boundary=${BOUNDARY}`);
      const body = Readable.from(partsOf(pictures, signal), { objectMode: false, highWaterMark: 1 });
      signal.addEventListener('abort', () => setTimeout(() => body.destroy(), FAREWELL_MS).unref(), { once: true });
      return reply.send(body);
    },
    wsHandler: (socket, request) => {
      const { params, query, caller } = request as unknown as Watched;
      return sockets.serve(socket, request, async (signal) => {
        await sendAll(socket, await watchPictures(services, params.id, { from: query.from, caller }, signal), signal);
      });
    },
  });
};

interface Watched {
  readonly params: { readonly id: string };
  readonly query: { readonly from: number | undefined };
  readonly caller: Parameters<Services['renders']['get']>[1];
}

async function sendAll(socket: WebSocket, pictures: AsyncIterable<RenderPicture>, signal: AbortSignal): Promise<void> {
  let count = 0;
  for await (const { frameIndex, timeMs, data, skippedFrames } of pictures) {
    await sendTo(socket, encodeFrame({ frameIndex, timeMs, skippedFrames, latencyMs: 0, data }), signal);
    count++;
  }
  await sendTo(socket, JSON.stringify({ type: 'ended', frame_count: count }), signal);
}

/** One part for each picture, in the form that browsers show in an `<img>`. */
async function* partsOf(pictures: AsyncIterable<RenderPicture>, signal: AbortSignal): AsyncGenerator<Buffer> {
  // A browser shows a part when it sees the boundary behind it.
  yield Buffer.from(`--${BOUNDARY}`);
  try {
    for await (const { frameIndex, data, contentType } of pictures) {
      const head = `content-type: ${contentType}\r\ncontent-length: ${data.length}\r\nx-frame-index: ${frameIndex}`;
      yield Buffer.concat([Buffer.from(`\r\n${head}\r\n\r\n`), data, Buffer.from(`\r\n--${BOUNDARY}`)]);
    }
  } catch (error) {
    // The head was sent: the client sees the end, and learns from the render's own address why.
    if (!signal.aborted && FarmError.from(error).code === 'internal') throw error;
  }
  yield Buffer.from('--\r\n');
}
