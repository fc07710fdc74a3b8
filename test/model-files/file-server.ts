import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** A web server with files in memory: ETags, ranges, redirects, and answers that break off. */
export class FileServer implements AsyncDisposable {
  readonly files = new Map<string, Buffer>();
  readonly redirects = new Map<string, string>();
  /** Every request that came: path, range, status. */
  readonly requests: { readonly path: string; readonly range: string | undefined; readonly status: number }[] = [];
  /** Of the next answers each ends after so many bytes. */
  readonly breaks: number[] = [];
  readonly #server: Server;

  private constructor(tls?: { readonly key: string; readonly cert: string }) {
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    this.#server = tls ? createTlsServer(tls, answer) : createServer(answer);
  }

  /** @param port where one was that is back now; @param tls speaks HTTPS, by the name localhost. */
  static async start(port = 0, tls?: { readonly key: string; readonly cert: string }): Promise<FileServer> {
    const server = new FileServer(tls);
    await once(server.#server.listen(port, '127.0.0.1'), 'listening');
    server.port = (server.#server.address() as AddressInfo).port;
    server.origin = tls ? `https://localhost:${server.port}` : `http://127.0.0.1:${server.port}`;
    return server;
  }

  /** As `models_from.hosts` lists it. */
  origin = '';
  port = 0;

  etagOf(body: Buffer): string {
    return `"${createHash('sha256').update(body).digest('hex').slice(0, 8)}"`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server.close(), 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #answer({ url: path = '', headers }: IncomingMessage, response: ServerResponse): void {
    const { range } = headers;
    const end = (status: number, more: Record<string, string | number> = {}, body?: Buffer) => {
      this.requests.push({ path, range, status });
      const most = body === undefined ? undefined : this.breaks.shift();
      response.writeHead(status, more);
      if (most === undefined) response.end(body);
      else response.write(body?.subarray(0, most), () => response.destroy());
    };
    const location = this.redirects.get(path);
    const body = this.files.get(path);
    if (location !== undefined) end(302, { location });
    else if (body === undefined) end(404);
    else {
      const etag = this.etagOf(body);
      const from = headers['if-range'] === etag ? Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0) : 0;
      const rest = body.subarray(from);
      const content = `bytes ${from}-${body.length - 1}/${body.length}`;
      if (headers['if-none-match'] === etag) end(304);
      else if (from > 0 && rest.length === 0) end(416, { 'content-range': `bytes */${body.length}` });
      else if (from === 0) end(200, { etag, 'content-length': body.length }, body);
      else end(206, { etag, 'content-length': rest.length, 'content-range': content }, rest);
    }
  }
}

/** A .tar of files, as GNU tar and others write it. */
export function tarOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const blocks = Object.entries(files).flatMap(([name, body]) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write('0000644\0', 100);
    head.write(`${body.length.toString(8).padStart(11, '0')} `, 124);
    head.write('        ', 148);
    head.write('0ustar\x0000', 156);
    const sum = head.reduce((total, byte) => total + byte, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [head, body, Buffer.alloc((512 - (body.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
