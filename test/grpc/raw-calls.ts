import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type Settings,
} from 'node:http2';
import { MONOLITHIC } from './clients.ts';

/** Calls as a hostile client makes them: bare HTTP/2, with messages that are announced and sent as it likes. */

const PREFIX_BYTES = 5;

export class RawClient implements Disposable {
  readonly session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.session = session;
  }

  /** @param settings of HTTP/2, as the client asks for them. */
  static async connect(address: string, settings: Settings = {}): Promise<RawClient> {
    const session = connect(`http://${address}`, { settings });
    // The farm may end it at any time.
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    return new RawClient(session);
  }

  /** Begins a unary call, of which nothing is sent yet. @param path its method; the one for inference if none is given. */
  call(path?: string): RawCall {
    return new RawCall(this.session, path === undefined ? {} : { path });
  }

  [Symbol.dispose](): void {
    this.session.destroy();
  }
}

interface CallOptions {
  readonly key?: string;
  readonly path?: string;
}

export class RawCall {
  readonly stream: ClientHttp2Stream;
  /** Status and farm's code, once the call has been refused. */
  readonly refused: Promise<{ status: string; code: string }>;

  constructor(session: ClientHttp2Session, { key, path = `/${MONOLITHIC}/InferBatchComposite` }: CallOptions = {}) {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    });
    this.stream = stream;
    // A stream may be reset while the client still sends.
    stream.on('error', () => {});
    stream.resume();
    this.refused = once(stream, 'response').then(([headers]: IncomingHttpHeaders[]) => ({
      status: String(headers?.['grpc-status']),
      code: String(headers?.['farm-error-code']),
    }));
  }

  /** Announces a message of so many bytes. */
  announce(bytes: number, isCompressed = false): void {
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix[0] = isCompressed ? 1 : 0;
    prefix.writeUInt32BE(bytes, 1);
    this.stream.write(prefix);
  }

  /** Sends a part of it; resolves when the farm has taken it, or the call is over. */
  async send(bytes: Buffer): Promise<void> {
    if (this.stream.destroyed || this.stream.closed) return;
    await new Promise<void>((resolve) => this.stream.write(bytes, () => resolve()));
  }
}
