import type { Redis } from 'ioredis';
import { hasAllFacets } from './facet-repair.ts';
import { type Facets, keysOf } from './facets.ts';
import { type ListPosition, type TimeRange, walkNewestFirst } from './index-walk.ts';
import { INDEX_KEY, ownerIndexKey, recordKey } from './keys.ts';

export interface ListFilter extends Facets, TimeRange {
  /** Name of an API key: only its renders. */
  readonly owner?: string | undefined;
}

/** Renders that are looked at together once the first ones were not enough. */
const LOOK_THROUGH = 1000;
/** After so many a page ends, however few were found: what a page costs has a limit. */
const MOST_LOOKED_AT = 10_000;

/**
 * ARGV beginning of the keys of records, status as JSON, model, labels as JSON, owner as JSON ('': any), ids. Returns
 * those of the ids whose record says this. The sets of an earlier version's renders may be wrong; the record is not.
 */
const MATCHING = `
local labels = ARGV[4] ~= '' and cjson.decode(ARGV[4])
local function matches(record)
  if ARGV[2] ~= '' and redis.call('HGET', record, 'status') ~= ARGV[2] then return false end
  if ARGV[5] ~= '' and redis.call('HGET', record, 'owner') ~= ARGV[5] then return false end
  if ARGV[3] == '' and not labels then return true end
  local ok, request = pcall(cjson.decode, redis.call('HGET', record, 'request') or '')
  if not ok or type(request) ~= 'table' then return false end
  if ARGV[3] ~= '' and request.modelId ~= ARGV[3] then return false end
  for _, label in ipairs(labels or {}) do
    if type(request.labels) ~= 'table' or request.labels[label[1]] ~= label[2] then return false end
  end
  return true
end
local found = {}
for i = 6, #ARGV do if matches(ARGV[1] .. ARGV[i]) then table.insert(found, ARGV[i]) end end
return found
`;

/**
 * Ids of up to `limit` renders that pass the filter, newest first, and where to go on. It walks the smallest set that
 * holds all of them, so one filter costs what a page without one does; with several filters a page may be short, and even
 * empty, while there is more behind it.
 * @param mostLookedAt renders that a page looks at before it ends.
 */
export async function listIds(
  redis: Redis,
  limit: number,
  after: ListPosition | undefined,
  filter: ListFilter,
  mostLookedAt = MOST_LOOKED_AT,
): Promise<{ ids: string[]; next: ListPosition | undefined }> {
  const { key, holdsOthers } = await smallestSet(redis, filter);
  const size = holdsOthers ? Math.max(limit + 1, LOOK_THROUGH) : limit + 1;
  const found: ListPosition[] = [];
  let looked = 0;
  for await (const piece of walkNewestFirst(redis, key, size, after, filter)) {
    found.push(...(await matching(redis, filter, piece.places)));
    looked += piece.places.length;
    if (found.length > limit) return { ids: idsOf(found.slice(0, limit)), next: found[limit - 1] };
    if (looked >= mostLookedAt) return { ids: idsOf(found), next: piece.next };
  }
  return { ids: idsOf(found), next: undefined };
}

function idsOf(places: readonly ListPosition[]): string[] {
  return places.map(({ renderId }) => renderId);
}

/** While renders of an earlier version are in no set of a facet, the list of all renders is the one to walk. */
async function smallestSet(redis: Redis, filter: ListFilter): Promise<{ key: string; holdsOthers: boolean }> {
  const all = filter.owner === undefined ? INDEX_KEY : ownerIndexKey(filter.owner);
  const facets = keysOf(filter);
  if (facets.length === 0) return { key: all, holdsOthers: false };
  if (!(await hasAllFacets(redis))) return { key: all, holdsOthers: true };
  const keys = filter.owner === undefined ? facets : [all, ...facets];
  const sizes = await Promise.all(keys.map((key) => redis.zcard(key)));
  return { key: keys[sizes.indexOf(Math.min(...sizes))] ?? all, holdsOthers: keys.length > 1 };
}

/** Those of the renders that have what the filter wants, whatever set they were in. */
async function matching(
  redis: Redis,
  { status, modelId = '', labels = [], owner = '' }: ListFilter,
  places: readonly ListPosition[],
): Promise<readonly ListPosition[]> {
  if (keysOf({ status, modelId: modelId || undefined, labels }).length === 0) return places;
  const wanted = [status && JSON.stringify(status), modelId, labels.length > 0 && JSON.stringify(labels)];
  const args = [...wanted.map((text) => text || ''), owner && JSON.stringify(owner)];
  const found = new Set((await redis.eval(MATCHING, 0, recordKey(''), ...args, ...idsOf(places))) as string[]);
  return places.filter(({ renderId }) => found.has(renderId));
}
