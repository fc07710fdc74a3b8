import type { Redis } from 'ioredis';
import { type RedisAddress, readGuidedAddress } from './address.ts';
import { PrimaryFinder } from './primary-finder.ts';
import { missingRights } from './rights.ts';

/** More than replicas are behind that are well. */
const MUCH_BEHIND_BYTES = 16 * 2 ** 20;

interface RedisFault {
  readonly text: string;
  readonly remedy: string;
  /** It may be meant so. */
  readonly isNote?: boolean;
}

/** How Redis stands, for whoever operates it. */
export interface RedisHealth {
  /** As it calls itself: `Redis 7.0.15`, `Valkey 8.1.0`. */
  readonly product: string;
  /** Sentences. */
  readonly facts: readonly string[];
  /** What may lose work, each with how to mend it. */
  readonly faults: readonly RedisFault[];
}

/**
 * Looks at a Redis as its farm reaches it: the primary, replicas and what they lack, what it keeps on its disk, Sentinels'
 * quorum, rights that are missing. Changes nothing.
 * @param redis a connection to `place` that nothing else uses.
 */
export async function lookAtRedis(redis: Redis, place: RedisAddress): Promise<RedisHealth> {
  const missing = await missingRights(redis, readGuidedAddress(place.url)?.kind === 'cluster');
  const info = missing.includes('info') ? '' : await redis.info();
  const of = (name: string) => new RegExp(`^${name}:(.*)$`, 'm').exec(info)?.[1]?.trim() ?? '';
  const behind = [...info.matchAll(/^slave\d+:.*state=(\w+),offset=(\d+)/gm)].map(([, state, offset]) => ({
    isWell: state === 'online' && Number(of('master_repl_offset')) - Number(offset) < MUCH_BEHIND_BYTES,
  }));
  const well = behind.filter(({ isWell }) => isWell).length;
  const { host, port } = endOf(redis);
  const facts = [`the primary is ${host}:${port}`, `replicas that are up to date: ${well} of ${behind.length}`];
  const faults = [
    ...(missing.length > 0 ? [lacking(missing)] : []),
    ...(of('aof_enabled') === '0' ? [NO_FILE] : []),
    ...(readGuidedAddress(place.url) && well === 0 ? [NO_REPLICA] : []),
    ...(await sentinelFault(place)),
  ];
  const valkey = of('valkey_version');
  return { product: valkey ? `Valkey ${valkey}` : `Redis ${of('redis_version')}`, facts, faults };
}

function endOf({ stream, options }: Redis): { host: string; port: number } {
  const { remoteAddress, remotePort } = stream as { remoteAddress?: string; remotePort?: number };
  return { host: remoteAddress ?? options.host ?? '', port: remotePort ?? options.port ?? 0 };
}

const NO_FILE = {
  text: 'appendonly is no: what is queued is lost when Redis ends',
  remedy: 'set appendonly to yes, on every server',
  isNote: true,
};
const NO_REPLICA = {
  text: 'no replica is up to date: nothing can take the place of the primary',
  remedy: 'look at the logs of the replicas, and at `INFO replication`',
};

function lacking(names: readonly string[]) {
  return {
    text: `the user of redis.url may not give ${names.join(', ')}`,
    remedy: 'give it the rights that docs/ops/redis.md lists, for keys and channels as well',
  };
}

async function sentinelFault(place: RedisAddress): Promise<RedisHealth['faults']> {
  if (readGuidedAddress(place.url)?.kind !== 'sentinel') return [];
  const fault = await new PrimaryFinder(place).quorumFault();
  return fault === undefined ? [] : [{ text: fault, remedy: 'start the Sentinels that are missing; most must agree' }];
}
