import { createHash } from 'node:crypto';
import * as ownScripts from '../../shared/renders/scripts.ts';
import type { PassingCommand } from './redis-proxy.ts';

/** Commands that change nothing, and those by which connections are set up and kept. */
const NO_CHANGE =
  /^(?:h?get|hgetall|h?mget|hvals|hlen|smembers|s(?:is|mis)member|scard|zscore|zrevrange.*|zrange.*|x(?:rev)?range|xread|l?range|llen|exists|info|time|ping|client|hello|auth|select|p?subscribe|config|memory|bzpopmin)$/i;
const ABOUT = /^--\[\[\s*(.*?)(?:\.|\n|\]\])/s;

const namesBySha = new Map<string, string>(Object.entries(ownScripts).map(([name, script]) => [shaOf(script), name]));

/**
 * The name of a command that changes something, without ids: "TRANSITION completed", "zadd spent"; undefined for one that
 * changes nothing. Must see each script when it is sent whole.
 */
export function nameOf({ words }: PassingCommand): string | undefined {
  const [command = '', first = '', ...rest] = words;
  const lower = command.toLowerCase();
  if (NO_CHANGE.test(lower)) return undefined;
  if (lower !== 'eval' && lower !== 'evalsha') return `${lower} ${keyName(first)}`.trim();
  const sha = lower === 'eval' ? shaOf(first) : first;
  if (lower === 'eval' && !namesBySha.has(sha))
    namesBySha.set(sha, ABOUT.exec(first)?.[1]?.trim() ?? `script ${sha.slice(0, 6)}`);
  const name = namesBySha.get(sha) ?? sha.slice(0, 6);
  const keys = rest.slice(1, 1 + Number(rest[0]));
  if (name === 'TRANSITION') return `TRANSITION ${rest[1 + keys.length + 1]}`;
  return `${name} ${keyName(keys[0] ?? '')}`;
}

/** A key without the farm's prefix, ids and numbers of workers. */
function keyName(key: string): string {
  return key
    .replace('{farm}:', '')
    .replace(/r[a-z0-9]{9}-[a-f0-9]{10}/g, '<id>')
    .replace(/-[0-9a-f]{8}\b.*$/, '-<id>');
}

function shaOf(script: string): string {
  return createHash('sha1').update(script).digest('hex');
}
