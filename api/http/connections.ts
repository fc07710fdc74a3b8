import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The connections of an HTTP server. A server that closes waits for all of them, and ends by itself only those that have
 * carried a request and are idle: one that a client has opened ahead and not used yet would hold it up for a minute.
 */
export class Connections {
  /** Requests that are being answered, by connection. */
  readonly #answering = new Map<Socket, number>();
  #closing = false;

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#answering.set(socket, 0);
      socket.once('close', () => this.#answering.delete(socket));
    });
    server.on('request', ({ socket }, response) => {
      this.#count(socket, 1);
      response.once('close', () => this.#count(socket, -1));
    });
    // A WebSocket: whoever serves it closes it.
    server.on('upgrade', ({ socket }: IncomingMessage) => this.#count(socket, 1));
  }

  /** Ends every connection on which nothing is being answered, the others when they have their answer. */
  closeUnused(): void {
    this.#closing = true;
    for (const [socket, answers] of this.#answering) if (answers === 0) socket.destroy();
  }

  #count(socket: Socket, by: number): void {
    const answers = (this.#answering.get(socket) ?? 0) + by;
    if (this.#answering.has(socket)) this.#answering.set(socket, answers);
    // `end`: what is written already still has to arrive.
    if (this.#closing && answers === 0) socket.end();
  }
}
