import websocket from '@fastify/websocket';
import type { FastifyInstance } from 'fastify';
import type { Services } from '../../services.ts';
import { previewRoutes } from '../renders/preview-routes.ts';
import { liveSocket } from './live-socket.ts';
import { opensSocket, SOCKET_PROTOCOL } from './socket-protocol.ts';
import { type SocketTimes, WebSockets } from './web-sockets.ts';

/** Seconds of sound in the largest format, and more than any message of control. */
const LARGEST_MESSAGE_BYTES = 2 ** 20;

/** The routes that are WebSockets. The hooks of all routes come first: host, origin, key. */
export async function socketRoutes(
  app: FastifyInstance,
  { times, ...services }: Services & { readonly times: SocketTimes },
): Promise<void> {
  const sockets = new WebSockets(services, times);
  await app.register(websocket, {
    options: {
      maxPayload: LARGEST_MESSAGE_BYTES,
      handleProtocols: (offered) => offered.has(SOCKET_PROTOCOL) && SOCKET_PROTOCOL,
    },
    // A fault of the connection closes the socket, and that is noticed where the socket is served.
    errorHandler: (error, _socket, request) => request.log.debug({ err: error }, 'socket closed by a fault'),
    preClose: () => sockets.finish(services.config.limits.drain_seconds * 1000),
  });
  // Refused before it became a socket: no parser reads this connection any more, so nobody else would end it.
  app.addHook('onResponse', (request, _reply, done) => {
    if (opensSocket(request.raw)) request.raw.socket.destroySoon();
    done();
  });
  await app.register(liveSocket, { ...services, sockets, times });
  await app.register(previewRoutes, { ...services, sockets });
}
