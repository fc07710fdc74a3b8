/**
 * Lua scripts for the atomic steps on render records. All keys share the farm's hash tag.
 * Field values are JSON texts.
 */

/**
 * Admits a render: at most `limit` unfinished ones, at most so many of its owner, and one per idempotency key.
 * The set of an owner's unfinished renders may hold some that have ended: they are taken out when it seems full.
 * KEYS record, index, active, idempotency, another idempotency key to look at, index and active of the owner.
 * ARGV limit, renderId, createdAtMs, idempotency value ('' for none), idempotency lifetime in ms, limit of the owner
 * (0 for none, '' for no owner), then field, value, …
 * Returns {'admitted'}, {'full', count}, {'owner full', count} or {'known', idempotency value}.
 */
export const ADMIT = `
if ARGV[4] ~= '' then
  local known = redis.call('GET', KEYS[4]) or redis.call('GET', KEYS[5])
  if known then return {'known', known} end
end
local active = redis.call('SCARD', KEYS[3])
if active >= tonumber(ARGV[1]) then return {'full', tostring(active)} end
if ARGV[6] ~= '' then
  local most = tonumber(ARGV[6])
  local own = redis.call('SCARD', KEYS[7])
  if own >= (most > 0 and most or 1000) then
    for _, id in ipairs(redis.call('SMEMBERS', KEYS[7])) do
      if redis.call('SISMEMBER', KEYS[3], id) == 0 then own = own - redis.call('SREM', KEYS[7], id) end
    end
    if most > 0 and own >= most then return {'owner full', tostring(own)} end
  end
  redis.call('ZADD', KEYS[6], ARGV[3], ARGV[2])
  redis.call('SADD', KEYS[7], ARGV[2])
end
for i = 7, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('SADD', KEYS[3], ARGV[2])
if ARGV[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[5]) end
return {'admitted'}
`;

/**
 * Moves a render to another status if it is in one that allows it.
 * KEYS record, active. ARGV renderId, new status, '1' if that ends the render, allowed statuses as a JSON array, then
 * field, value, …; a time (…AtMs) that is there already stays, so that a retry does not hide how long a step took.
 * Returns the status before, or nil when there is no such render; nothing changed unless that status was allowed.
 */
export const TRANSITION = `
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then return nil end
local status = cjson.decode(raw)
local allowed = false
for _, candidate in ipairs(cjson.decode(ARGV[4])) do if candidate == status then allowed = true end end
if not allowed then return status end
redis.call('HSET', KEYS[1], 'status', cjson.encode(ARGV[2]))
for i = 5, #ARGV, 2 do
  local command = string.sub(ARGV[i], -4) == 'AtMs' and 'HSETNX' or 'HSET'
  redis.call(command, KEYS[1], ARGV[i], ARGV[i + 1])
end
if ARGV[3] == '1' then redis.call('SREM', KEYS[2], ARGV[1]) end
return status
`;

/**
 * Removes a render that has ended, and frees its idempotency key; an unfinished one stays as it is.
 * KEYS record, progress, receipts, preview, index. ARGV renderId, statuses in which a render has ended as a JSON array,
 * prefixes of the idempotency keys and of the owners' indexes. Returns the status before, or nil when there is no such render.
 */
export const REMOVE = `
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then return nil end
local status = cjson.decode(raw)
local ended = false
for _, candidate in ipairs(cjson.decode(ARGV[2])) do if candidate == status then ended = true end end
if not ended then return status end
local claimed = redis.call('HGET', KEYS[1], 'idempotencyKey')
if claimed then redis.call('DEL', ARGV[3] .. cjson.decode(claimed)) end
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner then redis.call('ZREM', ARGV[4] .. cjson.decode(owner), ARGV[1]) end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
return status
`;

/**
 * Notes the progress of a segment, unless the render has ended or a newer attempt has reported, and when the first
 * segment began. The entry is "attempt, frames of it, most frames of any attempt": what was done once counts as done.
 * KEYS record, progress. ARGV segment index, attempt, frames done, time now. Returns the render's status, or nil when
 * there is no such render.
 */
export const PROGRESS = `
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then return nil end
local status = cjson.decode(raw)
if status ~= 'rendering' then return status end
local before = redis.call('HGET', KEYS[2], ARGV[1])
local most = tonumber(ARGV[3])
if before then
  if tonumber(string.match(before, '^(%d+)')) > tonumber(ARGV[2]) then return status end
  most = math.max(most, tonumber(string.match(before, '(%d+)$')))
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. most)
redis.call('HSETNX', KEYS[1], 'firstSegmentAtMs', ARGV[4])
return status
`;
