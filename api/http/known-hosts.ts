import { isIP } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Config } from '../../shared/config/load.ts';
import { isLoopback } from '../../shared/config/open-address.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { shown } from '../../shared/errors/faulty-input.ts';
import { sendError } from './errors.ts';

const HOST = /^(?<name>\[[^\]]*\]|[^:]*)(?::\d*)?$/;
/** Addresses that a server listens on and no client is sent to. */
const UNSPECIFIED = new Set(['0.0.0.0', '::']);

/**
 * A hook that lets a request pass only if it was sent to a name of this farm. A page of a stranger can let its own name
 * point to this machine ("DNS rebinding"); then a browser takes the farm for a part of that page, and only the name in
 * the Host header tells. An address cannot be redirected so: where the farm listens beyond loopback, every one will do.
 */
export function requireKnownHost({ host, allowed_hosts }: Config['http']) {
  const names = new Set([host, ...allowed_hosts].map(bare));
  const takesAddresses = !isLoopback(host);
  const isKnown = (name: string) =>
    isLoopback(name) || (!UNSPECIFIED.has(name) && (names.has(name) || (takesAddresses && isIP(name) !== 0)));
  return async ({ headers }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const given = headers.host;
    // Only HTTP/1.0 may leave it out, and no browser speaks that.
    if (given === undefined || isKnown(nameIn(given))) return undefined;
    const message = `The request was sent to a name that is none of this farm's: ${shown(given)}`;
    return sendError(reply, new FarmError('host_unknown', message));
  };
}

function nameIn(host: string): string {
  return bare(HOST.exec(host)?.groups?.name ?? '');
}

/** In lower case, without the brackets of an IPv6 address and without the dot that may end a name. */
function bare(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}
