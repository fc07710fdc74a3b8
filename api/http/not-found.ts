import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { sendError } from './errors.ts';

/**
 * Answers what no route takes: 405 with `Allow` where the address is one of ours, else 404. Call it before the routes
 * are registered.
 */
export function answerUnrouted(app: FastifyInstance): void {
  const methods = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set();
    for (const name of [method].flat()) known.add(name);
    methods.set(url, known);
  });
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = pathOf(request);
    const allowed = [...methods].flatMap(([url, names]) => (fits(url, path) ? [...names] : []));
    // A route with a rest, as of the dashboard's files, takes the method and still has nothing there.
    if (allowed.length === 0 || allowed.includes(request.method))
      return sendError(reply, new FarmError('not_found', `There is nothing at ${path}`));
    const allow = [...new Set(allowed)].sort().join(', ');
    reply.header('allow', allow);
    return sendError(reply, new FarmError('method_not_allowed', `${path} takes ${allow}, not ${request.method}`));
  });
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? '';
}

/** Whether a path is one of a route's: `/v1/renders/:id` has two fixed parts and one of its own, `*` is any rest. */
function fits(route: string, path: string): boolean {
  const parts = path.split('/');
  const wanted = route.split('/');
  const rest = wanted.indexOf('*');
  if (rest < 0 ? parts.length !== wanted.length : parts.length <= rest) return false;
  return wanted.every((part, index) => part === '*' || part.startsWith(':') || part === parts[index]);
}
