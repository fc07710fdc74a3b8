import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A message of the farm: a frame, or what its JSON says. */
export type Received =
  | {
      readonly frame: {
        readonly index: number;
        readonly timeMs: number;
        readonly skipped: number;
        readonly jpeg: Buffer;
      };
    }
  | { readonly type: string; readonly frame?: undefined; readonly [field: string]: unknown };

/** A WebSocket as any program would open it, with its messages in order. */
export class SocketClient implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly #waiting: Received[] = [];
  readonly #closed: Promise<{ code: number; reason: string }>;
  #changed = Promise.withResolvers<void>();

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      this.#waiting.push(isBinary ? { frame: frameOf(data) } : JSON.parse(data.toString()));
      this.#wake();
    });
    this.#closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#wake();
      });
    });
  }

  /** Rejects when the farm refuses it; then `refusalOf` says how. */
  static async open(url: string, { key, headers = {}, autoPong = true }: SocketSettings = {}): Promise<SocketClient> {
    const client = new SocketClient(new WebSocket(url, protocolsFor(key), { headers, autoPong }));
    await once(client.socket, 'open');
    return client;
  }

  say(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The next message; undefined when the socket has closed. */
  async next(): Promise<Received | undefined> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message) return message;
      if (this.socket.readyState === WebSocket.CLOSED) return undefined;
      await this.#changed.promise;
    }
  }

  /** How the farm closed it. */
  get closed(): Promise<{ code: number; reason: string }> {
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.terminate();
    await this.#closed;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

export interface SocketSettings {
  /** Sent as a browser sends it. */
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** False: it answers no ping, as a client whose machine has gone. */
  readonly autoPong?: boolean;
}

/** Status and body of the answer to a request for a WebSocket that is refused. */
export async function refusalOf(url: string, { key, headers = {} }: SocketSettings = {}) {
  const socket = new WebSocket(url, protocolsFor(key), { headers });
  const [, response] = await once(socket, 'unexpected-response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode as number, error: JSON.parse(Buffer.concat(chunks).toString()).error };
}

function protocolsFor(key: string | undefined): string[] {
  return key === undefined ? ['lipsync.v1'] : ['lipsync.v1', `lipsync.key.${Buffer.from(key).toString('base64url')}`];
}

function frameOf(message: Buffer) {
  const [index, timeMs, skipped] = [0, 4, 8].map((at) => message.readUInt32LE(at)) as [number, number, number];
  return { index, timeMs, skipped, jpeg: message.subarray(16) };
}
