import { INDEX_KEY } from './keys.ts';
import { RENDER_STATUSES, type RenderStatus } from './record.ts';

/**
 * What renders can be listed by beside their time: a sorted set of ids by the time they were made for each status, model
 * and label. Every script that changes a record keeps them right. Those of an earlier version did not know of them:
 * facet-repair.ts notices and mends that.
 */

const FACETS = `${INDEX_KEY}:by:`;

/** Statuses that have a set; `unknown` is that of listed renders whose record is gone or cannot be read. */
export const LISTED_STATUSES = [...RENDER_STATUSES, 'unknown'] as const;

export const statusKey = (status: RenderStatus | 'unknown') => `${FACETS}status:${status}`;
export const modelKey = (modelId: string) => `${FACETS}model:${modelId}`;
export const labelKey = (name: string, value: string) => `${FACETS}label:${name}=${value}`;

/** What renders are to have. */
export interface Facets {
  readonly status?: RenderStatus | undefined;
  readonly modelId?: string | undefined;
  /** All of them, as [key, value]. */
  readonly labels?: readonly (readonly [string, string])[] | undefined;
}

/** The sets that hold all renders with these. */
export function keysOf({ status, modelId, labels = [] }: Facets): string[] {
  return [
    ...(status === undefined ? [] : [statusKey(status)]),
    ...(modelId === undefined ? [] : [modelKey(modelId)]),
    ...labels.map(([name, value]) => labelKey(name, value)),
  ];
}

const STATUSES = `{${LISTED_STATUSES.map((status) => `'${status}'`).join(', ')}}`;

/**
 * Functions for scripts: `index_render` puts a render into the sets that its record says and out of those of other
 * statuses, `unindex_render` takes it out of all of them; to be called while the record is there.
 */
export const INDEX_RENDER = `
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and value or nil
end
local function sets_of_request(record)
  local request = decoded(redis.call('HGET', record, 'request'))
  local sets = {}
  if type(request) ~= 'table' then return sets end
  if type(request.modelId) == 'string' then table.insert(sets, '${modelKey('')}' .. request.modelId) end
  if type(request.labels) ~= 'table' then return sets end
  for name, value in pairs(request.labels) do
    table.insert(sets, '${FACETS}label:' .. name .. '=' .. tostring(value))
  end
  return sets
end
local function index_status(id, status, at)
  local known = 'unknown'
  for _, candidate in ipairs(${STATUSES}) do if candidate == status then known = status end end
  for _, other in ipairs(${STATUSES}) do
    if other ~= known then redis.call('ZREM', '${FACETS}status:' .. other, id) end
  end
  redis.call('ZADD', '${FACETS}status:' .. known, at, id)
end
local function index_render(record, id)
  local at = redis.call('HGET', record, 'createdAtMs') or 0
  index_status(id, decoded(redis.call('HGET', record, 'status')), at)
  for _, set in ipairs(sets_of_request(record)) do redis.call('ZADD', set, at, id) end
end
local function unindex_render(record, id)
  for _, status in ipairs(${STATUSES}) do redis.call('ZREM', '${FACETS}status:' .. status, id) end
  for _, set in ipairs(sets_of_request(record)) do redis.call('ZREM', set, id) end
end
`;
