import type { FastifyReply, FastifyRequest } from 'fastify';
import { SESSION_SECONDS } from '../../access/sessions.ts';

/**
 * The cookie of a browser's session. No script can read it, no other site can have it sent, and over TLS it is never sent
 * without; its name says so to the browser, which then takes it from this host alone.
 */

const NAME = 'lipsync_session';

export function sessionToken(request: FastifyRequest): string | undefined {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([name]) => name === nameFor(request))?.[1];
}

export function setSessionCookie(request: FastifyRequest, reply: FastifyReply, token: string): void {
  write(request, reply, token, SESSION_SECONDS);
}

export function clearSessionCookie(request: FastifyRequest, reply: FastifyReply): void {
  write(request, reply, '', 0);
}

function write(request: FastifyRequest, reply: FastifyReply, value: string, seconds: number): void {
  const secure = isSecure(request) ? '; Secure' : '';
  reply.header(
    'set-cookie',
    `${nameFor(request)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`,
  );
}

function nameFor(request: FastifyRequest): string {
  return isSecure(request) ? `__Host-${NAME}` : NAME;
}

/** As the connection says, or a proxy of `http.trusted_proxies`. */
function isSecure({ protocol }: FastifyRequest): boolean {
  return protocol === 'https';
}
