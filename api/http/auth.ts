import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../shared/api-keys.ts';
import { FarmError } from '../../shared/errors.ts';
import type { Access } from '../access/access.ts';
import type { Caller } from '../access/caller.ts';
import { sendError } from './errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The role that a route needs, or 'open' for everybody, with no key; a route that does not say needs 'admin'. */
    readonly access?: Role | 'open';
  }

  interface FastifyRequest {
    /** Whose request it is; not there on open routes. */
    caller: Caller;
  }
}

/**
 * A hook that lets a request pass only with a key that may do it: as bearer token, or as basic-auth password, which is
 * what a browser asks for when it opens the dashboard. With no keys configured everybody passes.
 */
export function requireAccess(access: Access) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    // What is not there is not there for any key.
    const needs = request.is404 ? 'render' : (request.routeOptions.config.access ?? 'admin');
    if (needs === 'open') return undefined;
    const key = presentedKey(request.headers.authorization);
    try {
      request.caller = access.enter({ key, address: request.ip, route: routeOf(request), needs });
      return undefined;
    } catch (thrown) {
      const error = FarmError.from(thrown);
      if (error.code === 'unauthorised')
        reply.header('www-authenticate', 'Basic realm="Lipsync Farm", charset="UTF-8"');
      // Answered here, not thrown: the dashboard's own error handler would make it a 500.
      return sendError(reply, error);
    }
  };
}

/** The route as the farm writes it: a path that was asked for may hold anything. */
function routeOf({ is404, method, routeOptions }: FastifyRequest): string {
  return is404 ? 'no route' : `${method} ${routeOptions.url}`;
}

function presentedKey(header = ''): string {
  const [scheme, value = ''] = header.split(' ');
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return '';
  const credentials = Buffer.from(value, 'base64').toString();
  return credentials.slice(credentials.indexOf(':') + 1);
}
