import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../shared/api-keys.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Caller } from '../access/caller.ts';
import { isMetricsToken } from '../access/metrics-token.ts';
import type { Services } from '../services.ts';
import { sendError } from './errors.ts';
import { sessionToken } from './pages/session-cookie.ts';
import { signInFor } from './pages/sign-in-page.ts';
import { keyInProtocols } from './sockets/socket-protocol.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The role that a route needs, or 'open' for everybody, with no key; a route that does not say needs 'admin'. */
    readonly access?: Role | 'open';
    /** A page: a browser that is not signed in is sent to where it can be. */
    readonly isPage?: boolean;
    /** Lets whoever shows `metrics.token` in, too. */
    readonly opensWithMetricsToken?: boolean;
  }

  interface FastifyRequest {
    /** Whose request it is; not there on open routes. */
    caller: Caller;
  }
}

/**
 * A hook that lets a request pass only with a key that may do it: as bearer token, as basic-auth password, or from a
 * browser that has signed in with it. With no keys configured everybody passes.
 */
export function requireAccess(services: Pick<Services, 'access' | 'sessions' | 'config'>) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { isPage, access = 'admin', opensWithMetricsToken } = request.routeOptions.config;
    // What is not there is not there for any key.
    const needs = request.is404 ? 'render' : access;
    if (needs === 'open') return undefined;
    const key = () => keyOf(request.headers);
    if (opensWithMetricsToken && isMetricsToken(services.config, key())) return undefined;
    try {
      request.caller = await callerOf(request, needs, services);
      return undefined;
    } catch (thrown) {
      const error = FarmError.from(thrown);
      if (error.code === 'unauthorised') {
        if (isPage && wantsHtml(request)) return reply.redirect(signInFor(request.url), 303);
        reply.header('www-authenticate', 'Bearer realm="Lipsync Farm"');
      }
      // Answered here, not thrown: the dashboard's own error handler would make it a 500.
      return sendError(reply, error);
    }
  };
}

async function callerOf(
  request: FastifyRequest,
  needs: Role,
  { access, sessions }: Pick<Services, 'access' | 'sessions'>,
): Promise<Caller> {
  const { authorization } = request.headers;
  const key = keyOf(request.headers);
  const attempt = { address: request.ip, route: routeOf(request), needs };
  const showsKey = authorization !== undefined || key !== '';
  const token = showsKey || access.isOpen ? undefined : sessionToken(request);
  const signedIn = token === undefined ? undefined : await sessions.find(token);
  return signedIn ? access.admit(signedIn, attempt) : access.enter({ key, ...attempt });
}

function wantsHtml({ method, headers }: FastifyRequest): boolean {
  return method === 'GET' && (headers.accept ?? '').includes('text/html');
}

/** The route as the farm writes it: a path that was asked for may hold anything. */
function routeOf({ is404, method, routeOptions }: FastifyRequest): string {
  return is404 ? 'no route' : `${method} ${routeOptions.url}`;
}

/** Of a request in general; of one that opens a WebSocket, for which a browser sets no header, as protocol. */
function keyOf({ authorization, 'sec-websocket-protocol': protocols }: IncomingHttpHeaders): string {
  return authorization === undefined ? keyInProtocols(protocols) : presentedKey(authorization);
}

/** As it was sent, as bearer token or as password; '' for none. */
export function presentedKey(header = ''): string {
  const [scheme, value = ''] = header.split(' ');
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return '';
  const credentials = Buffer.from(value, 'base64').toString();
  return credentials.slice(credentials.indexOf(':') + 1);
}
