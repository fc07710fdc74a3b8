import type { FastifyReply, FastifyRequest } from 'fastify';
import { FarmError } from '../../shared/errors.ts';
import { ApiKeys } from '../api-keys.ts';
import { sendError } from './errors.ts';

/** Open to everybody, so that a load balancer can ask. */
const OPEN_PATHS = new Set(['/healthz', '/readyz']);

/**
 * A hook that lets a request pass only with one of the keys: as bearer token, or as basic-auth password, which is what
 * a browser asks for when it opens the dashboard. With no keys configured everybody passes.
 */
export function requireApiKey(apiKeys: readonly string[]) {
  const keys = new ApiKeys(apiKeys);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    if (OPEN_PATHS.has(request.routeOptions.url ?? '')) return undefined;
    if (keys.accept(presentedKey(request.headers.authorization))) return undefined;
    const error = new FarmError('unauthorised', 'The request carries no valid API key');
    reply.header('www-authenticate', 'Basic realm="Lipsync Farm", charset="UTF-8"');
    // Answered here, not thrown: the dashboard's own error handler would make it a 500.
    return sendError(reply, error);
  };
}

function presentedKey(header = ''): string {
  const [scheme, value = ''] = header.split(' ');
  if (scheme?.toLowerCase() === 'bearer') return value;
  if (scheme?.toLowerCase() !== 'basic') return '';
  const credentials = Buffer.from(value, 'base64').toString();
  return credentials.slice(credentials.indexOf(':') + 1);
}
