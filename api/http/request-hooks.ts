import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { count, observe } from '../../shared/metrics/tally.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import { startSpan } from '../../shared/tracing/tracing.ts';
import type { AccessLog } from '../logs/access-log.ts';
import { forRequest, originOf, REQUEST_ID, type RequestContext, traceAbove, traceHeaders } from '../request-context.ts';

/** What every HTTP request leaves: its id and its trace in the answer, a line, a span, and its counts. */

declare module 'fastify' {
  interface FastifyRequest {
    /** Covers the request; absent while nothing is traced. */
    span: TraceSpan | undefined;
  }
}

/** Methods that are counted by their names: a caller may send any word. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** A label of what no route answers. */
const NO_ROUTE = 'none';

/** Call it before all other hooks and the routes. */
export function followRequests(app: FastifyInstance, { accessLog }: { readonly accessLog: AccessLog }): void {
  app.decorateRequest('span', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID, request.id);
    begin(request, reply);
    done();
  });
  // Here and not earlier: what reads a body calls back outside of the context.
  app.addHook('preHandler', (request, _reply, done) => forRequest(contextOf(request), done));
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply, accessLog);
    done();
  });
}

function begin(request: FastifyRequest, reply: FastifyReply): void {
  const { method } = request;
  request.span = startSpan(`${method} ${routeOf(request)}`, {
    kind: 'server',
    parent: traceAbove([request.headers.traceparent].flat()[0], request.headers.tracestate),
    attributes: { 'http.request.method': method, 'http.route': routeOf(request), 'farm.request_id': request.id },
  });
  for (const [name, value] of traceHeaders(request.span)) reply.header(name, value);
}

function end(request: FastifyRequest, reply: FastifyReply, accessLog: AccessLog): void {
  const { statusCode, elapsedTime } = reply;
  const route = routeOf(request);
  const method = METHODS.has(request.method) ? request.method : 'other';
  count('farm_http_requests_total', { method, route, code: statusCode });
  observe('farm_http_request_seconds', { route }, elapsedTime / 1000);
  request.span?.set({ 'http.response.status_code': statusCode });
  request.span?.end(statusCode >= 500 ? `status ${statusCode}` : undefined);
  const bytes = Number(reply.getHeader('content-length') ?? 0) || undefined;
  accessLog.note({ context: contextOf(request), code: statusCode, ms: elapsedTime, url: request.url, bytes });
}

/** For a WebSocket, whose request was never answered as one: call it when the socket has closed. */
export function noteSocket(
  request: FastifyRequest,
  { accessLog }: { readonly accessLog: AccessLog },
  ms: number,
): void {
  const code = 101;
  count('farm_http_requests_total', { method: request.method, route: routeOf(request), code });
  request.span?.set({ 'http.response.status_code': code });
  request.span?.end();
  accessLog.note({ context: contextOf(request), code, ms, url: request.url });
}

function contextOf(request: FastifyRequest): RequestContext {
  const { id, span, ip, caller, method } = request;
  const route = `${method} ${routeOf(request)}`;
  return { via: 'http', address: ip, route, origin: originOf(id, span), caller };
}

function routeOf({ is404, routeOptions }: FastifyRequest): string {
  return is404 ? NO_ROUTE : (routeOptions.url ?? NO_ROUTE);
}
