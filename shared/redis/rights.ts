import type { Redis } from 'ioredis';

/**
 * What the farm, BullMQ and ioredis ask of Redis, and nothing else: the rights of the farm's user. Each command stands
 * with arguments by which Redis can say whether it is allowed: K is a key of the farm, C a channel.
 */
const COMMANDS = [
  ...[
    'EVAL s 1 K',
    'EVALSHA s 1 K',
    'SCRIPT|EXISTS s',
    'SCRIPT|LOAD s',
    'INFO',
    'PING',
    'TIME',
    'WAIT 1 1',
    'SELECT 0',
  ],
  ...['CLIENT|SETNAME n', 'CLIENT|LIST', 'MULTI', 'EXEC', 'DISCARD'],
  ...['PUBLISH C m', 'SUBSCRIBE C', 'UNSUBSCRIBE C'],
  ...['DEL K', 'EXISTS K', 'EXPIRE K 1', 'GET K', 'INCR K', 'INCRBY K 1', 'MGET K', 'PERSIST K', 'PEXPIRE K 1'],
  ...['PEXPIREAT K 1', 'PTTL K', 'RENAME K K', 'SET K v', 'TYPE K', 'UNLINK K'],
  ...['HDEL K f', 'HEXISTS K f', 'HGET K f', 'HGETALL K', 'HINCRBY K f 1', 'HINCRBYFLOAT K f 1', 'HKEYS K', 'HLEN K'],
  ...['HMGET K f', 'HMSET K f v', 'HSET K f v', 'HSETNX K f v', 'HVALS K'],
  ...['LINDEX K 0', 'LLEN K', 'LPOP K', 'LPOS K v', 'LPUSH K v', 'LRANGE K 0 0', 'LREM K 0 v', 'LSET K 0 v'],
  ...['LTRIM K 0 0', 'RPOP K', 'RPOPLPUSH K K', 'RPUSH K v'],
  ...['SADD K m', 'SCARD K', 'SISMEMBER K m', 'SMEMBERS K', 'SMISMEMBER K m', 'SREM K m', 'SSCAN K 0'],
  ...['BZPOPMIN K 1', 'ZADD K 1 m', 'ZCARD K', 'ZCOUNT K 0 1', 'ZLEXCOUNT K - +', 'ZPOPMIN K', 'ZRANGE K 0 0'],
  ...['ZRANGEBYLEX K - +', 'ZRANGEBYSCORE K 0 1', 'ZREM K m', 'ZREMRANGEBYRANK K 0 0', 'ZREMRANGEBYSCORE K 0 1'],
  ...['ZREVRANGE K 0 0', 'ZREVRANGEBYSCORE K 1 0', 'ZSCORE K m'],
  ...['XADD K * f v', 'XDEL K 1', 'XLEN K', 'XRANGE K - +', 'XREAD STREAMS K 0', 'XREVRANGE K + -', 'XTRIM K MAXLEN 1'],
] as const;
/** Of nodes of a cluster. */
const OF_A_CLUSTER = ['CLUSTER|SLOTS'] as const;

const KEY = '{farm}:rights';
/** Transactions have these themselves, or ioredis gives them in a way of its own. */
const NOT_IN_TRANSACTIONS = ['multi', 'exec', 'discard', 'subscribe', 'unsubscribe'];

/** Names of all commands, as ACL rules have them: `hget`, `script|load`. */
export const FARM_COMMANDS: readonly string[] = [...COMMANDS, ...OF_A_CLUSTER].map(nameOf).sort();

/** The rules of the farm's user, as `ACL SETUSER` and redis.conf take them. */
export const FARM_RULES: readonly string[] = [
  ...['resetkeys', '~{farm}:*', 'resetchannels', '&{farm}:*', '-@all'],
  ...FARM_COMMANDS.map((name) => `+${name}`),
];

/**
 * Names of the commands that this connection's user may not give. Each is put into a transaction that is thrown away, so
 * that nothing is done: Redis refuses there what it would refuse.
 * @param redis a connection that nothing else uses meanwhile.
 */
export async function missingRights(redis: Redis, isCluster: boolean): Promise<string[]> {
  const asked: readonly string[] = isCluster ? [...COMMANDS, ...OF_A_CLUSTER] : COMMANDS;
  const missing = new Set<string>();
  const begun = await redis.call('MULTI').catch(isDenied);
  if (begun !== 'OK') return ['multi'];
  for (const text of asked) {
    const name = nameOf(text);
    if (NOT_IN_TRANSACTIONS.includes(name)) continue;
    const [command = '', ...args] = text
      .replace('|', ' ')
      .replaceAll(/\b[KC]\b/g, KEY)
      .split(' ');
    if ((await redis.call(command, ...args).catch(isDenied)) === undefined) missing.add(name);
  }
  if ((await redis.call('DISCARD').catch(isDenied)) === undefined) missing.add('discard');
  if ((await redis.subscribe(KEY).catch(isDenied)) === undefined) missing.add('subscribe');
  else await redis.unsubscribe(KEY);
  return [...missing];
}

function nameOf(text: string): string {
  return (text.split(' ')[0] ?? '').toLowerCase();
}

/** Undefined for a refusal by rights; what else is refused says nothing of them. */
function isDenied(error: Error): undefined | false {
  // A farm's connection says in words of its own that Redis refuses.
  const refusal = error.cause instanceof Error ? error.cause : error;
  if (refusal.message.startsWith('NOPERM')) return undefined;
  if (refusal.name === 'ReplyError') return false;
  throw error;
}
