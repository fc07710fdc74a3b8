import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * What every answer forbids a browser: to guess its type, to show it inside a page of another origin, to run anything in
 * it, and to tell others that it was here.
 */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': policy({}),
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: then a browser would send the farm's own forms with `Origin: null`.
  'referrer-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

/** For half a year this host is asked over TLS only. */
const HSTS = 'max-age=15552000';

/** A hook that gives every answer these headers; a page that needs more sets a policy of its own later. */
export async function setSecurityHeaders({ protocol }: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers(SECURITY_HEADERS);
  if (protocol === 'https') reply.header('strict-transport-security', HSTS);
}

/** A Content-Security-Policy that allows nothing but what is named. */
export function policy(allowed: Readonly<Record<string, string>>): string {
  const rules = {
    ...{ 'default-src': "'none'", 'base-uri': "'none'", 'form-action': "'none'", 'frame-ancestors': "'none'" },
    ...allowed,
  };
  return Object.entries(rules)
    .map(([name, sources]) => `${name} ${sources}`)
    .join('; ');
}
