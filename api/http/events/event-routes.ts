import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { NAME_MAX } from '../../../shared/limits.ts';
import { EVENT_ID, RENDER_EVENTS } from '../../../shared/renders/events.ts';
import { RENDER_STATUSES } from '../../../shared/renders/record.ts';
import { eventNamesInText } from '../../event-names.ts';
import type { Following, StreamItem } from '../../events/event-streams.ts';
import type { Services } from '../../services.ts';
import { bytesOf, failures, nothing } from '../openapi.ts';
import { renderParams as params } from '../renders/render-routes.ts';
import { EVENT_STREAM_BEGIN, eventText } from './event-text.ts';

type App = Parameters<FastifyPluginAsyncZod<Services>>[0];
/** Resolves when nothing that comes from now on is missed; the items end when the signal is aborted. */
type Follow = (signal: AbortSignal) => Promise<AsyncIterable<StreamItem>>;

const tags = ['events'];
const config = { access: 'render' } as const;
const headers = z.looseObject({
  'last-event-id': z
    .string()
    .regex(EVENT_ID, 'not the id of an event')
    .optional()
    .describe('The last event that the client has: those behind it come first. A browser sends it by itself'),
});
const events = bytesOf('Server-sent events, each with an object RenderEvent in `data`', 'text/event-stream');

/** /v1/events and /v1/renders/{id}/events: what happens to renders, as server-sent events. */
export const eventRoutes: FastifyPluginAsyncZod<Services> = async (app, services) => {
  app.addHook('preClose', async () => services.events.close());
  followRender(app, services);
  followAll(app, services);
};

function followRender(app: App, services: Services): void {
  const schema = {
    ...{ operationId: 'followRender', tags, summary: 'Events of a render, from its first one to its end' },
    ...{ params, headers },
    response: {
      200: events,
      204: nothing('It has ended, and the client has all of its events'),
      ...failures('render_unknown', 'event_streams_full', 'farm_draining'),
    },
  };
  app.get('/v1/renders/:id/events', { schema, config }, async (request, reply) => {
    const { id } = request.params;
    const following = { caller: request.caller, after: request.headers['last-event-id'] };
    if (await services.events.isOver(id, following)) return reply.status(204).send();
    return await sendEvents(request, reply, services, (signal) => services.events.ofRender(id, following, signal));
  });
}

function followAll(app: App, services: Services): void {
  const schema = {
    ...{ operationId: 'followRenders', tags, summary: 'Events of all renders that the key may see, as they come' },
    headers,
    querystring: z.strictObject({
      model_id: z.string().max(NAME_MAX).optional().describe('Only those of renders with this model'),
      status: z.enum(RENDER_STATUSES).optional().describe('Only those of renders that have come to this status'),
      types: eventNamesInText(RENDER_EVENTS).optional(),
    }),
    response: { 200: events, ...failures('event_streams_full', 'farm_draining') },
  };
  app.get('/v1/events', { schema, config }, async (request, reply) => {
    const { model_id: modelId, ...filter } = request.query;
    const after = request.headers['last-event-id'];
    const following: Following = { caller: request.caller, after, modelId, ...filter };
    return await sendEvents(request, reply, services, (signal) => services.events.ofAll(following, signal));
  });
}

/** Sends items as they come; a client that does not read keeps them waiting, until too many do. */
async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  { events }: Services,
  follow: Follow,
): Promise<FastifyReply> {
  const leave = events.enter();
  const gone = new AbortController();
  const end = () => {
    gone.abort();
    leave();
  };
  reply.raw.once('close', end);
  try {
    const items = await follow(AbortSignal.any([gone.signal, events.closing, request.caller.revoked]));
    const text = Readable.from(textOf(request, items), { objectMode: false });
    text.once('close', end);
    return reply
      .type('text/event-stream; charset=utf-8')
      .headers({ 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
      .send(text);
  } catch (error) {
    end();
    throw error;
  }
}

async function* textOf(request: FastifyRequest, items: AsyncIterable<StreamItem>): AsyncGenerator<string> {
  yield EVENT_STREAM_BEGIN;
  try {
    for await (const item of items) yield eventText(item);
  } catch (error) {
    // The head was sent: the client sees the end, and comes again with the id of its last event.
    request.log.warn({ reason: (error as Error).message }, 'a stream of events has ended early');
  }
}
