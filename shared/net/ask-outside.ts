import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { FarmError } from '../errors/farm-error.ts';
import type { AddressRules } from './address-rules.ts';
import { checkedLookup, type LookupAll } from './checked-lookup.ts';
import { parseOutsideUrl } from './outside-url.ts';

export interface OutsideRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly rules: AddressRules;
  /** For all of it, names and redirects included, until the head of the last answer has come. */
  readonly timeoutMs: number;
  /** Ends the request, and the reading of its answer. */
  readonly signal?: AbortSignal;
  /** Redirects that are followed, with GET alone; each is checked like the first address. 0 by default. */
  readonly maxRedirects?: number;
  /** For tests: resolves names, instead of the system. */
  readonly resolve?: LookupAll;
}

export interface OutsideAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  /** To be read or destroyed by the caller: a connection of its own hangs on it. */
  readonly body: IncomingMessage;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Asks an address outside the farm that somebody else has named. No proxy, no cookies, no connection that was opened
 * for another request; the address that the socket connects to is the one that was checked.
 * FarmError: request_invalid, address_refused, remote_failed (no connection, no answer in time, too many redirects).
 */
export async function askOutside(request: OutsideRequest): Promise<OutsideAnswer> {
  const timeout = AbortSignal.timeout(request.timeoutMs);
  const signal = request.signal ? AbortSignal.any([request.signal, timeout]) : timeout;
  const open = new AbortController();
  // From the head of the answer on, only the caller's signal counts.
  const give = () => open.abort(signal.reason);
  signal.addEventListener('abort', give, { once: true });
  request.signal?.addEventListener('abort', () => open.abort(request.signal?.reason), { once: true });
  try {
    return await followed(request, open.signal);
  } catch (thrown) {
    if (request.signal?.aborted) throw request.signal.reason;
    if (timeout.aborted) throw failed(request.url, `it did not answer within ${request.timeoutMs} ms`);
    throw thrown;
  } finally {
    signal.removeEventListener('abort', give);
  }
}

async function followed(request: OutsideRequest, signal: AbortSignal): Promise<OutsideAnswer> {
  let next = request.url;
  for (let hops = 0; ; hops++) {
    const url = parseOutsideUrl(next, request.rules);
    const body = await askOnce(url, request, signal);
    const status = body.statusCode ?? 0;
    const { location } = body.headers;
    const most = request.method === 'GET' ? (request.maxRedirects ?? 0) : 0;
    if (most === 0 || !REDIRECTS.has(status) || location === undefined)
      return { status, headers: body.headers, url, body };
    body.destroy();
    if (hops >= most) throw failed(request.url, `it redirects more than ${most} times`);
    next = URL.parse(location, url.href)?.href ?? location;
  }
}

async function askOnce(url: URL, request: OutsideRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { method, headers, body, rules, resolve } = request;
  const options: RequestOptions = {
    ...{ method, headers: { ...headers }, signal },
    agent: false,
    lookup: checkedLookup(rules, resolve),
  };
  const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
  outgoing.end(body);
  try {
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
    return answer;
  } catch (error) {
    if (error instanceof FarmError) throw error;
    throw failed(request.url, (error as Error).message || String((error as NodeJS.ErrnoException).code), error);
  }
}

/**
 * The first `maxBytes` of an answer's body; the rest is not read, and its connection is closed.
 * FarmError('remote_failed') when it breaks off or takes longer than `timeoutMs`.
 */
export async function readBounded(body: IncomingMessage, maxBytes: number, timeoutMs: number): Promise<Buffer> {
  const timer = setTimeout(() => body.destroy(new Error(`the answer took longer than ${timeoutMs} ms`)), timeoutMs);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes >= maxBytes) break;
    }
  } catch (error) {
    throw new FarmError('remote_failed', `The answer broke off: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(pieces).subarray(0, maxBytes);
}

function failed(url: string, reason: string, cause?: unknown): FarmError {
  // What stands behind the path may be a secret.
  const { origin, pathname } = new URL(url);
  return new FarmError('remote_failed', `${origin}${pathname} could not be asked: ${reason}`, { cause });
}
