import { BlockList, isIP } from 'node:net';
import { FarmError } from '../errors.ts';
import type { Config } from './load.ts';

/** Which addresses the farm's servers listen on, and whether that lets strangers in. */

type Access = Pick<Config, 'http' | 'server' | 'auth'>;

const EVERY_ADDRESS = '0.0.0.0';
const THIS_MACHINE = '127.0.0.1';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether an address or name means this machine alone. A name other than localhost may mean anything. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  const version = isIP(address);
  if (version === 0) return address.toLowerCase() === 'localhost';
  return LOOPBACK.check(address, version === 4 ? 'ipv4' : 'ipv6');
}

/** Whether everybody who reaches a port may use the farm. */
export function isWithoutKeys({ auth }: Pick<Config, 'auth'>): boolean {
  return auth.keys.length === 0;
}

/**
 * The address that gRPC listens on. A port alone, as in the old server's ":50053", is every address where a key is asked
 * for or where the farm may be open, and else this machine alone.
 */
export function grpcHost(config: Access): string {
  const { host } = config.server.port;
  return host ?? (mayBeReached(config) ? EVERY_ADDRESS : THIS_MACHINE);
}

/** What to tell the user whose `server.port` names no address and is kept to this machine; undefined for all others. */
export function keptToThisMachine(config: Access): string | undefined {
  const { host, port } = config.server.port;
  if (host !== undefined || mayBeReached(config)) return undefined;
  return `server.port names no address, and no key is configured, so gRPC listens on ${THIS_MACHINE}:${port} only; set auth.keys, and it listens on every address`;
}

/**
 * FarmError('access_open') where a server would listen beyond this machine, no key is configured, and
 * `auth.open_to_network` does not allow it.
 */
export function refuseOpenAddress(config: Access): void {
  if (mayBeReached(config)) return;
  const addresses = { 'http.host': config.http.host, 'server.port': grpcHost(config) };
  const open = Object.entries(addresses).filter(([, host]) => !isLoopback(host));
  if (open.length === 0) return;
  const named = open.map(([key, host]) => `${key} (${host})`).join(' and ');
  throw new FarmError(
    'access_open',
    `${named} would let everybody who reaches this machine use the farm, since no key is configured`,
  );
}

function mayBeReached(config: Access): boolean {
  return config.auth.open_to_network || !isWithoutKeys(config);
}
