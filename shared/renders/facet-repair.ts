import type { Redis } from 'ioredis';
import { INDEX_RENDER, LISTED_STATUSES, statusKey } from './facets.ts';
import { walkNewestFirst } from './index-walk.ts';
import { ACTIVE_KEY, INDEX_KEY, recordKey } from './keys.ts';
import { isTerminal, type RenderStatus } from './record.ts';

/**
 * Puts renders into the sets of facets.ts that processes of an earlier version have admitted, moved or removed. Every
 * render is in the set of one status, so a few counts show whether all of them are where they belong.
 */

/** Renders that one script looks at: it keeps Redis busy for some milliseconds. */
const PIECE = 500;

/** KEYS index, active, sets of the statuses in which a render has ended, of the others. ARGV how many have ended. */
const IS_COMPLETE = `
local ended, others = 0, 0
for i = 3, #KEYS do
  local count = redis.call('ZCARD', KEYS[i])
  if i < 3 + tonumber(ARGV[1]) then ended = ended + count else others = others + count end
end
if others ~= redis.call('SCARD', KEYS[2]) then return 0 end
return ended + others == redis.call('ZCARD', KEYS[1]) and 1 or 0
`;

const ENDED = LISTED_STATUSES.filter((status) => status === 'unknown' || isTerminal(status));
const OTHERS = LISTED_STATUSES.filter((status) => !ENDED.includes(status));

/** KEYS index. ARGV beginning of the keys of records, ids. A render that is not listed any more stays out. */
const MEND = `${INDEX_RENDER}
for i = 2, #ARGV do
  local at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  local record = ARGV[1] .. ARGV[i]
  if not at then unindex_render(record, ARGV[i])
  elseif redis.call('EXISTS', record) == 1 then index_render(record, ARGV[i])
  else index_status(ARGV[i], 'unknown', at) end
end
`;

/** Whether the sets hold all renders: costs the same however many there are. */
export async function hasAllFacets(redis: Redis): Promise<boolean> {
  const keys = [INDEX_KEY, ACTIVE_KEY, ...ENDED.map(statusKey), ...OTHERS.map(statusKey)];
  return (await redis.eval(IS_COMPLETE, keys.length, ...keys, ENDED.length)) === 1;
}

/** Goes over all renders in pieces, unless the sets hold all of them. Doing it twice at a time does no harm. */
export async function repairFacets(redis: Redis): Promise<void> {
  if (await hasAllFacets(redis)) return;
  const sets: (RenderStatus | 'unknown')[] = [...LISTED_STATUSES];
  for (const key of [INDEX_KEY, ...sets.map(statusKey)]) {
    for await (const { places } of walkNewestFirst(redis, key, PIECE)) {
      await redis.eval(MEND, 1, INDEX_KEY, recordKey(''), ...places.map(({ renderId }) => renderId));
    }
  }
}
