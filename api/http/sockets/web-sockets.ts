import { once } from 'node:events';
import type { WebSocket } from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { ignored } from '../../../shared/process/unheard.ts';
import type { AccessLog } from '../../logs/access-log.ts';
import { RunningWork } from '../../running-work.ts';
import { noteSocket } from '../request-hooks.ts';

/** How long a front end waits for the clients of its sockets. */
export interface SocketTimes {
  /** How often a client has to show that it is there. */
  readonly pingEveryMs: number;
  /** The first message of a live session has to come so soon. */
  readonly openWithinMs: number;
}

export const SOCKET_TIMES: SocketTimes = { pingEveryMs: 20_000, openWithinMs: 10_000 };
/** Time for a client to take the last message. */
const FAREWELL_MS = 900;
/** Close codes of RFC 6455. */
const CLOSE_CODES = { normal: 1000, goingAway: 1001, refused: 1008, internal: 1011, tryAgainLater: 1013 } as const;

/** The WebSockets of a front end: their keep-alive, their end, and the errors that are their last words. */
export class WebSockets {
  readonly #running = new RunningWork();
  readonly #accessLog: AccessLog;
  readonly #pingEveryMs: number;

  constructor({ accessLog }: { readonly accessLog: AccessLog }, { pingEveryMs }: Pick<SocketTimes, 'pingEveryMs'>) {
    this.#accessLog = accessLog;
    this.#pingEveryMs = pingEveryMs;
  }

  /**
   * Serves a socket until the work is done, the client has gone, or its key is removed; then closes it. A failure is told
   * as a message `error` first. Never rejects.
   */
  async serve(socket: WebSocket, request: FastifyRequest, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const startedAtMs = performance.now();
    const controller = new AbortController();
    const ended = this.#running.begin(controller);
    const { revoked } = request.caller;
    const onRevoked = () => controller.abort(revoked.reason);
    revoked.addEventListener('abort', onRevoked);
    socket.once('close', () =>
      controller.abort(new FarmError('request_cancelled', 'The client has closed the socket')),
    );
    const pings = keepAlive(socket, this.#pingEveryMs);
    try {
      const error = await work(controller.signal).then(
        () => undefined,
        (thrown: unknown) => FarmError.from(controller.signal.aborted ? controller.signal.reason : thrown),
      );
      if (error?.code === 'internal') request.log.error({ err: error }, 'socket failed');
      await close(socket, request, error);
    } finally {
      clearInterval(pings);
      revoked.removeEventListener('abort', onRevoked);
      noteSocket(request, { accessLog: this.#accessLog }, performance.now() - startedAtMs);
      ended();
    }
  }

  /** Resolves when all sockets have closed; after `patienceMs` they are told that this front end stops. */
  async finish(patienceMs: number): Promise<void> {
    await this.#running.finish(patienceMs);
  }
}

/** Sends a message when the one before it has left: a slow reader is waited for, never buffered for. */
export async function sendTo(socket: WebSocket, data: string | Buffer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const sent = Promise.withResolvers<void>();
  const stop = () => sent.reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  socket.send(data, (error) => (error ? sent.reject(error) : sent.resolve()));
  try {
    await sent.promise;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Ends a client that has answered no ping. One that is held back cannot have been heard. */
function keepAlive(socket: WebSocket, pingEveryMs: number): NodeJS.Timeout {
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  return setInterval(() => {
    if (!isAlive && !socket.isPaused) socket.terminate();
    isAlive = false;
    socket.ping();
  }, pingEveryMs);
}

async function close(socket: WebSocket, request: FastifyRequest, error: FarmError | undefined): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(FAREWELL_MS) });
  // What the client still sends is of no use; unread it would hide its answer.
  socket.removeAllListeners('message');
  socket.resume();
  if (error) socket.send(JSON.stringify({ type: 'error', error: error.toReport(), request_id: request.id }));
  socket.close(closeCode(error), error?.code);
  await closed.catch(ignored('a client that does not answer is cut off'));
  socket.terminate();
}

function closeCode(error: FarmError | undefined): number {
  if (!error) return CLOSE_CODES.normal;
  if (error.code === 'farm_draining') return CLOSE_CODES.goingAway;
  if (error.retryable) return CLOSE_CODES.tryAgainLater;
  return error.httpStatus >= 500 ? CLOSE_CODES.internal : CLOSE_CODES.refused;
}
