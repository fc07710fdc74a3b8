import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { shown } from '../../shared/errors/faulty-input.ts';
import { sendError } from './errors.ts';

/**
 * A browser sends requests for any page that is open in it, with forms, pictures and scripts, and to this machine too. It
 * says so in headers that the page cannot change: Origin, and Sec-Fetch-*. What is no browser sends neither.
 */

/** What pages of `http.allowed_origins` may send, and may read of an answer, beside what every page may. */
const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const ALLOWED_HEADERS =
  'authorization, content-type, idempotency-key, if-none-match, if-range, last-event-id, range, x-request-id';
const EXPOSED_HEADERS =
  'accept-ranges, content-disposition, content-length, content-range, deprecation, etag, location, retry-after, x-request-id';
const PREFLIGHT_HOLDS_SECONDS = 600;

/**
 * A hook that refuses what pages of other origins have a browser send, whatever the method: they shall neither change
 * anything nor show what is here. Pages of `http.allowed_origins` pass, and may read the answers (CORS). Following a link
 * to the farm passes too. As `onRequest` it also comes before a WebSocket is opened.
 */
export function refuseOtherOrigins({ allowed_origins }: Config['http']) {
  const allowed = new Set(allowed_origins);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { headers } = request;
    // What is sent depends on it, so no cache may hand it to another.
    if (allowed.size > 0) reply.header('vary', 'Origin');
    if (headers.origin !== undefined && allowed.has(headers.origin)) {
      reply.header('access-control-allow-origin', headers.origin);
      reply.header('access-control-expose-headers', EXPOSED_HEADERS);
      return isPreflight(request) ? answerPreflight(reply) : undefined;
    }
    if (isOfThisOrigin(headers) || isLink(request)) return undefined;
    const page = headers.origin === undefined ? '' : `: ${shown(headers.origin)}`;
    const message = `A page of another origin had a browser send this request${page}`;
    return sendError(reply, new FarmError('origin_refused', message));
  };
}

/** Whether it comes from a page of this farm, from the user himself, or from no browser at all. */
function isOfThisOrigin({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  // A proxy may have changed the Host header; the browser knows where it sent the request.
  if (site === 'same-origin') return true;
  if (origin !== undefined) return isSameHost(origin, host);
  return site === undefined || site === 'none';
}

function isSameHost(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const page = new URL(origin);
  const here = `${page.protocol}//${host}`;
  return /^https?:$/.test(page.protocol) && URL.canParse(here) && page.host === new URL(here).host;
}

/** A link that was followed: the page is left, and sees nothing of what is here. */
function isLink({ method, headers }: FastifyRequest): boolean {
  const reads = method === 'GET' || method === 'HEAD';
  return (
    reads &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    headers.origin === undefined
  );
}

function isPreflight({ method, headers }: FastifyRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

function answerPreflight(reply: FastifyReply): FastifyReply {
  return reply
    .headers({
      'access-control-allow-methods': ALLOWED_METHODS,
      'access-control-allow-headers': ALLOWED_HEADERS,
      // For a page of the internet and a farm in a private network or on this machine.
      'access-control-allow-private-network': 'true',
      'access-control-max-age': PREFLIGHT_HOLDS_SECONDS,
    })
    .status(204)
    .send();
}
