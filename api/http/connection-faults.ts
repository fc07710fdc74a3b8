import { type Server, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyRequest } from 'fastify';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { SECURITY_HEADERS } from './security-headers.ts';

/**
 * What is wrong with a request before there is one: Node cannot read it, or it does not come in time. Answered on the
 * connection itself, in the form that all errors have.
 */

const CODE_OF_FAULT: Readonly<Record<string, [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The address and headers of the request take more than 16 KB'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['body_too_large', 'The extensions of a chunk of the body take more than 16 KB'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timed_out', 'The request was not complete in time'],
};

/** For Fastify's `clientErrorHandler`. */
export function answerConnectionFault(fault: Error & { code?: string }, socket: Socket): void {
  if (socket.writable && fault.code !== 'ECONNRESET' && !isAnswering(socket)) socket.write(answerTo(fault));
  socket.destroySoon();
}

/** Lets a request pass that expects something else of us than 100-continue, which a server need not understand. */
export function ignoreExpectations(server: Server): void {
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}

/**
 * An HTTP/1.1 request without the header Host is wrong, whatever it asks for, and so is one that names several hosts, in
 * headers or in the address: a proxy may go by the one and the farm by the other.
 */
export async function requireHost({ raw }: FastifyRequest): Promise<void> {
  const { host } = raw.headers;
  const given = raw.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  if (given.length > 1) throw new FarmError('request_invalid', 'The request has more than one Host header');
  if (host === undefined && raw.httpVersion === '1.1') {
    throw new FarmError('request_invalid', 'The request has no Host header');
  }
  const named = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(raw.url ?? '')?.[1];
  if (named === undefined || named.toLowerCase() === host?.toLowerCase()) return;
  throw new FarmError('request_invalid', 'The address of the request names another host than its Host header');
}

function answerTo(fault: Error & { code?: string }): string {
  const [code, message] = CODE_OF_FAULT[fault.code ?? ''] ?? ['request_invalid', `Not HTTP: ${fault.message}`];
  const error = new FarmError(code, message);
  const body = JSON.stringify({ error: error.toReport() });
  return [
    `HTTP/1.1 ${error.httpStatus} ${STATUS_CODES[error.httpStatus]}`,
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

/** True while an answer is on its way, which another one would spoil. Node itself looks at this field and offers no other. */
function isAnswering(socket: Socket): boolean {
  return (socket as { _httpMessage?: { headersSent: boolean } | null })._httpMessage?.headersSent ?? false;
}
