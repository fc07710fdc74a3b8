import { once } from 'node:events';
import type { WebSocket } from '@fastify/websocket';
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import type { Caller } from '../../access/caller.ts';
import { liveSession, type SessionInput, type SessionOutput } from '../../live/live-session.ts';
import { type StreamOpening, streamOpenSchema } from '../../live/stream-open.ts';
import { checkMessage } from '../../message-fields.ts';
import type { Services } from '../../services.ts';
import { encodeFrame } from './frame-message.ts';
import { type SocketMessage, SocketMessages } from './socket-messages.ts';
import { type SocketTimes, sendTo, type WebSockets } from './web-sockets.ts';

const openMessage = z.looseObject({ type: z.literal('open', 'expected open') });
const laterMessage = z.strictObject({ type: z.enum(['interrupt', 'end'], 'expected interrupt or end') });

type LiveServices = Pick<Services, 'config' | 'live'> & { readonly sockets: WebSockets; readonly times: SocketTimes };

/** WebSocket /v1/live: sound up, frames down; the same session as FarmService.Stream over gRPC. */
export const liveSocket: FastifyPluginAsync<LiveServices> = async (app, services) => {
  app.route({
    ...{ method: 'GET', url: '/v1/live', schema: { hide: true }, config: { access: 'render' } },
    handler: async () => {
      throw new FarmError('upgrade_required', '/v1/live is a WebSocket, and this request opens none');
    },
    wsHandler: (socket, request) => {
      // Made at once: messages may be there already.
      const messages = new SocketMessages(socket);
      const { caller } = request;
      return services.sockets.serve(socket, request, (signal) =>
        run(socket, messages, { ...services, caller, signal }),
      );
    },
  });
};

async function run(
  socket: WebSocket,
  messages: SocketMessages,
  { config, live, times, caller, signal }: LiveServices & { readonly caller: Caller; readonly signal: AbortSignal },
): Promise<void> {
  const opening = openingOf(await firstMessage(messages, times, signal), streamOpenSchema(config));
  for await (const output of liveSession(live, opening, inputsOf(messages), { caller, signal })) {
    await sendTo(socket, toMessage(output), signal);
  }
}

async function firstMessage(
  messages: SocketMessages,
  { openWithinMs }: SocketTimes,
  signal: AbortSignal,
): Promise<SocketMessage> {
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(openWithinMs)]);
  const message = await Promise.race([messages.next(), aborted(waiting)]);
  signal.throwIfAborted();
  if (message) return message;
  throw new FarmError('request_timed_out', `No message came within ${openWithinMs / 1000} s, expected open`);
}

async function aborted(signal: AbortSignal): Promise<undefined> {
  if (!signal.aborted) await once(signal, 'abort');
}

function openingOf(message: SocketMessage, schema: ReturnType<typeof streamOpenSchema>): StreamOpening {
  if (message.isBinary) throw new FarmError('request_invalid', 'First message: got sound, expected open');
  const { type: _, ...fields } = checkMessage(openMessage, toJson(message));
  return checkMessage(schema, fields);
}

async function* inputsOf(messages: SocketMessages): AsyncGenerator<SessionInput> {
  for (let message = await messages.next(); message; message = await messages.next()) {
    yield message.isBinary ? { audio: message.data } : checkMessage(laterMessage, toJson(message)).type;
  }
}

function toJson({ data }: SocketMessage): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    throw new FarmError('request_invalid', 'A message of text is no JSON');
  }
}

function toMessage(output: SessionOutput): string | Buffer {
  if ('frame' in output) return encodeFrame(output.frame);
  if ('opened' in output) return JSON.stringify({ type: 'opened', ...output.opened });
  if ('ended' in output) return JSON.stringify({ type: 'ended', ...output.ended });
  return JSON.stringify({ type: 'interrupted', ...output.interrupted });
}
