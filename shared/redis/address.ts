import { readFileSync } from 'node:fs';
import { FarmError } from '../errors/farm-error.ts';

/**
 * Where Redis is: one server, the primary that Sentinels name, or the node of a Redis Cluster that has the farm's slot.
 *
 *     redis://user:password@host:6379/0
 *     redis+sentinel://user:password@host:26379,host:26379,host:26379/name-of-the-primary/0
 *     redis+cluster://user:password@host:6379,host:6379,host:6379
 *
 * `rediss` in place of `redis` is TLS, to the Sentinels as well.
 */

/** As in the section `redis` of the configuration. */
export interface RedisAddress {
  readonly url: string;
  /** PEM files, absolute; empty: none. Of use with `rediss` only. */
  readonly tls?: RedisTls;
  /** What Sentinels ask for, where they ask for something. */
  readonly sentinel?: { readonly username: string; readonly password: string };
}

export interface RedisTls {
  /** Authorities that the servers' certificates are checked against; empty: those of the system. */
  readonly ca_path: string;
  readonly cert_path: string;
  readonly key_path: string;
  /** The name that the certificates must have, where it is not the host in the address. */
  readonly servername: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** An address that names servers to be asked where the primary is. */
export interface GuidedAddress {
  readonly kind: 'sentinel' | 'cluster';
  /** Sentinels, or nodes of the cluster. */
  readonly guides: readonly Endpoint[];
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** What Sentinels call the primary; empty for a cluster. */
  readonly primaryName: string;
  readonly db: number;
}

const GUIDED =
  /^(?<scheme>rediss?)\+(?<kind>sentinel|cluster):\/\/(?:(?<user>[^:@/]*)(?::(?<password>[^@/]*))?@)?(?<hosts>[^@/?#]+)(?:\/(?<name>[^/?#]*))?(?:\/(?<db>\d+))?\/?$/;
const HOST_AND_PORT = /^(?:\[(?<v6>[\da-f:.]+)\]|(?<host>[^:[\]]+))(?::(?<port>\d{1,5}))?$/i;
const USUAL_PORTS = { sentinel: 26_379, cluster: 6379 } as const;

/** Undefined for an address of one server. @throws Error, in words, for one that is neither. */
export function readGuidedAddress(url: string): GuidedAddress | undefined {
  if (!/^rediss?\+/.test(url)) return undefined;
  const { scheme, kind, user, password, hosts = '', name = '', db = '0' } = GUIDED.exec(url)?.groups ?? {};
  if (kind !== 'sentinel' && kind !== 'cluster') {
    throw new Error('expected redis+sentinel://host:port,host:port/name or redis+cluster://host:port,host:port');
  }
  if (kind === 'sentinel' && !name) throw new Error('the name of the primary is missing: redis+sentinel://hosts/name');
  if (kind === 'cluster' && name) throw new Error('nothing follows the hosts of a cluster, which has one database');
  return {
    kind,
    guides: hosts.split(',').map((text) => endpointOf(text, USUAL_PORTS[kind])),
    isTls: scheme === 'rediss',
    username: user ? decodeURIComponent(user) : undefined,
    password: password ? decodeURIComponent(password) : undefined,
    primaryName: decodeURIComponent(name),
    db: Number(db),
  };
}

function endpointOf(text: string, usualPort: number): Endpoint {
  const { v6, host = v6, port = String(usualPort) } = HOST_AND_PORT.exec(text)?.groups ?? {};
  // The text may be part of a password that is not encoded as it should be.
  if (!host) throw new Error('expected hosts as host:port,host:port');
  return { host, port: Number(port) };
}

/** True for an address by which connections are encrypted. */
export function isTlsAddress(url: string): boolean {
  return url.startsWith('rediss');
}

/** The Redis for what live requests send over Redis: the second one, or the same one without `live_url`. */
export function liveAddress(redis: RedisAddress & { readonly live_url: string }): RedisAddress {
  return redis.live_url ? { ...redis, url: redis.live_url } : redis;
}

/**
 * What `tls.connect` takes; undefined without TLS. Files are read each time: a connection that is made again shows a
 * certificate that was renewed.
 * @throws FarmError `config_invalid` for a file that cannot be read.
 */
export function tlsOptions({ url, tls }: RedisAddress): TlsOptions | undefined {
  if (!isTlsAddress(url)) return undefined;
  const { ca_path = '', cert_path = '', key_path = '', servername = '' } = tls ?? {};
  return {
    ...(ca_path ? { ca: read('ca_path', ca_path) } : {}),
    ...(cert_path ? { cert: read('cert_path', cert_path) } : {}),
    ...(key_path ? { key: read('key_path', key_path) } : {}),
    ...(servername ? { servername } : {}),
  };
}

export interface TlsOptions {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
}

function read(key: keyof RedisTls, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { message } = error as Error;
    throw new FarmError('config_invalid', `redis.tls.${key} cannot be read: ${message}`, { cause: error });
  }
}
