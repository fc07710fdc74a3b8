import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { type SessionView, sessionViewSchema } from '../../../shared/views/session-view.ts';
import { failures } from '../openapi.ts';
import { sessionToken } from './session-cookie.ts';

/** GET /v1/session: whose key the request carries, and what that may do. */
export const sessionRoute: FastifyPluginAsyncZod = async (app) => {
  const schema = {
    ...{ operationId: 'getSession', tags: ['access'], summary: 'Whose key the request carries, and its role' },
    response: { 200: sessionViewSchema, ...failures() },
  };
  app.get('/v1/session', { schema, config: { access: 'render' } }, async (request): Promise<SessionView> => {
    const { keyName, role } = request.caller;
    const isSignedIn = request.headers.authorization === undefined && sessionToken(request) !== undefined;
    return { key: keyName ?? null, role, signed_in: keyName !== undefined && isSignedIn };
  });
};
