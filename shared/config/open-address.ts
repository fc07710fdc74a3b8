import { BlockList, isIP } from 'node:net';
import { FarmError } from '../errors/farm-error.ts';
import type { Config } from './load.ts';

/** Which addresses the farm's servers listen on, and whether that lets strangers in. */

type Access = Pick<Config, 'http' | 'server' | 'auth' | 'metrics'>;

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

/** The keys that name a port of gRPC. */
export const GRPC_KEYS = ['port', 'compositing_port', 'inference_port'] as const;
export type GrpcKey = (typeof GRPC_KEYS)[number];

export interface GrpcAddress {
  /** As in "server.port". */
  readonly key: `server.${GrpcKey}`;
  readonly host: string;
  readonly port: number;
}

/**
 * The addresses that gRPC listens on, that of `server.port` first; those that are off are left out. A port alone, as in
 * the old server's ":50053", is every address where a key is asked for or where the farm may be open, and else this
 * machine alone.
 */
export function grpcAddresses(config: Access): GrpcAddress[] {
  return GRPC_KEYS.flatMap((name): GrpcAddress[] => {
    const address = config.server[name];
    if (address === null) return [];
    const host = address.host ?? (mayBeReached(config) ? EVERY_ADDRESS : THIS_MACHINE);
    return [{ key: `server.${name}`, host, port: address.port }];
  });
}

/** What to tell the user whose gRPC ports name no address and are kept to this machine; undefined for all others. */
export function keptToThisMachine(config: Access): string | undefined {
  if (mayBeReached(config)) return undefined;
  const kept = grpcAddresses(config).filter(({ key }) => hostNamed(config, key) === undefined);
  if (kept.length === 0) return undefined;
  const keys = kept.map(({ key }) => key).join(', ');
  const addresses = kept.map(({ host, port }) => `${host}:${port}`).join(', ');
  const names = kept.length === 1 ? 'names' : 'name';
  return `${keys} ${names} no address, and no key is configured, so gRPC listens on ${addresses} only; set auth.keys, and it listens on every address`;
}

/**
 * FarmError('access_open') where a server would listen beyond this machine, no key is configured, and
 * `auth.open_to_network` does not allow it.
 */
export function refuseOpenAddress(config: Access): void {
  refuseOpenMetrics(config);
  if (mayBeReached(config)) return;
  const addresses = [{ key: 'http.host', host: config.http.host }, ...grpcAddresses(config)];
  const open = addresses.filter(({ host }) => !isLoopback(host));
  if (open.length === 0) return;
  const named = open.map(({ key, host }) => `${key} (${host})`).join(' and ');
  throw new FarmError(
    'access_open',
    `${named} would let everybody who reaches this machine use the farm, since no key is configured`,
  );
}

function hostNamed({ server }: Access, key: GrpcAddress['key']): string | undefined {
  return server[key.slice('server.'.length) as GrpcKey]?.host;
}

/** The address of `metrics.listen`: a port alone is every address where a token is asked for, and else this machine. */
export function metricsHost({ metrics, auth }: Access): string {
  return metrics.listen?.host ?? (metrics.token !== '' || auth.open_to_network ? EVERY_ADDRESS : THIS_MACHINE);
}

function refuseOpenMetrics(config: Access): void {
  const { metrics, auth } = config;
  if (!metrics.listen || metrics.token !== '' || auth.open_to_network || isLoopback(metricsHost(config))) return;
  throw new FarmError(
    'access_open',
    `metrics.listen (${metricsHost(config)}) would let everybody who reaches this machine read how the farm is; set metrics.token`,
  );
}

function mayBeReached(config: Access): boolean {
  return config.auth.open_to_network || !isWithoutKeys(config);
}
