import type { Redis } from 'ioredis';
import { hasAllFacets } from './facet-repair.ts';
import { type Facets, keysOf } from './facets.ts';
import { type ListPosition, type TimeRange, walkNewestFirst } from './index-walk.ts';
import { INDEX_KEY, ownerIndexKey, recordKey } from './keys.ts';

export interface ListFilter extends Facets, TimeRange {
  /** Name of an API key: only its renders. */
  readonly owner?: string | undefined;
  /** Words that are all in what a render is found by, as search.ts gives them. */
  readonly words?: readonly string[] | undefined;
}

/** Renders that are looked at together once the first ones were not enough. */
const LOOK_THROUGH = 1000;
/** After so many a page ends, however few were found: what a page costs has a limit. */
const MOST_LOOKED_AT = 10_000;

/**
 * KEYS any of the farm, by which a cluster knows the slot. ARGV beginning of the keys of records, status as JSON, model, labels as JSON, owner as JSON ('': any), words as JSON,
 * ids. Returns those of the ids whose record says this. The sets of an earlier version's renders may be wrong; the record
 * is not. Such renders have no text to be searched, so that of their request is, in which only letters of ASCII are
 * compared without regard to case.
 */
const MATCHING = `
local labels = ARGV[4] ~= '' and cjson.decode(ARGV[4])
local words = cjson.decode(ARGV[6])
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and value
end
local function text_of(record, id)
  local text = redis.call('HGET', record, 'search')
  if text then return decoded(text) end
  local request = decoded(redis.call('HGET', record, 'request'))
  if type(request) ~= 'table' then return false end
  local parts = { id, request.fileName, request.modelId }
  for name, value in pairs(type(request.labels) == 'table' and request.labels or {}) do
    table.insert(parts, name .. '=' .. tostring(value))
  end
  return string.lower(table.concat(parts, ' '))
end
local function has_words(record, id)
  local text = #words == 0 or text_of(record, id)
  for _, word in ipairs(words) do
    if not text or not string.find(text, word, 1, true) then return false end
  end
  return true
end
local function matches(record, id)
  if ARGV[2] ~= '' and redis.call('HGET', record, 'status') ~= ARGV[2] then return false end
  if ARGV[5] ~= '' and redis.call('HGET', record, 'owner') ~= ARGV[5] then return false end
  if not has_words(record, id) then return false end
  if ARGV[3] == '' and not labels then return true end
  local request = decoded(redis.call('HGET', record, 'request'))
  if type(request) ~= 'table' then return false end
  if ARGV[3] ~= '' and request.modelId ~= ARGV[3] then return false end
  for _, label in ipairs(labels or {}) do
    if type(request.labels) ~= 'table' or request.labels[label[1]] ~= label[2] then return false end
  end
  return true
end
local found = {}
for i = 7, #ARGV do if matches(ARGV[1] .. ARGV[i], ARGV[i]) then table.insert(found, ARGV[i]) end end
return found
`;

/**
 * Ids of up to `limit` renders that pass the filter, newest first, and where to go on. It walks the smallest set that
 * holds all of them, so one filter costs what a page without one does; with several filters, or words, a page may be short,
 * and even empty, while there is more behind it.
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
  const hasWords = (filter.words ?? []).length > 0;
  if (facets.length === 0) return { key: all, holdsOthers: hasWords };
  if (!(await hasAllFacets(redis))) return { key: all, holdsOthers: true };
  const keys = filter.owner === undefined ? facets : [all, ...facets];
  const sizes = await Promise.all(keys.map((key) => redis.zcard(key)));
  return { key: keys[sizes.indexOf(Math.min(...sizes))] ?? all, holdsOthers: keys.length > 1 || hasWords };
}

/** Those of the renders that have what the filter wants, whatever set they were in. */
async function matching(
  redis: Redis,
  { status, modelId = '', labels = [], owner = '', words = [] }: ListFilter,
  places: readonly ListPosition[],
): Promise<readonly ListPosition[]> {
  if (keysOf({ status, modelId: modelId || undefined, labels }).length + words.length === 0) return places;
  const wanted = [status && JSON.stringify(status), modelId, labels.length > 0 && JSON.stringify(labels)];
  const args = [...wanted.map((text) => text || ''), owner && JSON.stringify(owner), JSON.stringify(words)];
  const found = new Set(
    (await redis.eval(MATCHING, 1, INDEX_KEY, recordKey(''), ...args, ...idsOf(places))) as string[],
  );
  return places.filter(({ renderId }) => found.has(renderId));
}
