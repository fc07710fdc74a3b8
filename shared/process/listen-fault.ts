import { once } from 'node:events';
import { createServer } from 'node:net';
import { FarmError } from '../errors/farm-error.ts';

/**
 * Why a server could not listen on an address, found out by trying it: `port_taken`, or `config_invalid` for an address
 * that is not of this machine or a port that this user may not use. Undefined when listening works now.
 * @param key configuration key that names the address.
 */
export async function findListenFault(key: string, host: string, port: number): Promise<FarmError | undefined> {
  const server = createServer().listen({ host, port });
  try {
    await once(server, 'listening');
    server.close();
    return undefined;
  } catch (error) {
    return explain(key, `${host.includes(':') ? `[${host}]` : host}:${port}`, error as NodeJS.ErrnoException);
  }
}

function explain(key: string, address: string, error: NodeJS.ErrnoException): FarmError {
  if (error.code === 'EADDRINUSE') {
    return new FarmError('port_taken', `${key}: another program listens on ${address} already`, { cause: error });
  }
  const why = { EACCES: 'this user may not', EADDRNOTAVAIL: 'this machine has no such address' }[error.code ?? ''];
  return new FarmError('config_invalid', `${key}: cannot listen on ${address}: ${why ?? error.message}`, {
    cause: error,
  });
}
