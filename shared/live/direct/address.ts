import type { NetConnectOpts } from 'node:net';
import { FarmError } from '../../errors/farm-error.ts';

/** `unix:/path/of/a/socket` or `tcp:host:port`, as a job names its front end. */
const TCP_ADDRESS = /^tcp:(?<host>.+):(?<port>\d{1,5})$/;
const UNIX_PREFIX = 'unix:';
const LOOPBACK = /^(?:localhost|127\..*|::1|\[::1\])$/;

export const unixAddress = (path: string) => `${UNIX_PREFIX}${path}`;
export const tcpAddress = (host: string, port: number) => `tcp:${host}:${port}`;

/** How to connect to an address. FarmError('internal') for one of another form. */
export function connectOptions(address: string): NetConnectOpts {
  if (address.startsWith(UNIX_PREFIX)) return { path: address.slice(UNIX_PREFIX.length) };
  const { host, port } = TCP_ADDRESS.exec(address)?.groups ?? {};
  if (!host) throw new FarmError('internal', `This is no address of a front end: ${address}`);
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** True for an address that only processes of the same machine can reach. */
export function staysOnMachine(address: string): boolean {
  return address.startsWith(UNIX_PREFIX) || LOOPBACK.test(TCP_ADDRESS.exec(address)?.groups?.host ?? '');
}
