import type { WebSocket } from '@fastify/websocket';

/** One message of a client: text is control, binary is sound. */
export interface SocketMessage {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** Messages that may wait before the client is held back. */
const MOST_WAITING = 4;

/** What a client sends, as it is asked for: while nobody asks, TCP holds the client back. */
export class SocketMessages {
  readonly #socket: WebSocket;
  readonly #waiting: SocketMessage[] = [];
  #changed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      this.#waiting.push({ data, isBinary });
      if (this.#waiting.length >= MOST_WAITING) socket.pause();
      this.#wake();
    });
    socket.once('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** The next message; undefined when the socket has closed. */
  async next(): Promise<SocketMessage | undefined> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message) return message;
      if (this.#isClosed) return undefined;
      this.#socket.resume();
      await this.#changed.promise;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
