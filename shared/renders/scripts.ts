import { NOTE_EVENT, NOTE_PROGRESS } from './event-scripts.ts';
import { INDEX_RENDER } from './facets.ts';
import { COUNT_STORED, SUM_OF_ALL, sumOf } from './stored-bytes.ts';

/**
 * Lua scripts for the atomic steps on render records. All keys share the farm's hash tag.
 * Field values are JSON texts.
 *
 * Each may come again: a connection that was lost sends what has had no answer once more, and so does a caller who
 * was not answered in time. So each knows its own work by the writer's token, and answers as it did the first time.
 */

/**
 * Counts an owner's unfinished renders. Their set may hold some that have ended: they are taken out when it seems full,
 * or, without a limit, when half of it must be such.
 */
const COUNT_OWN = `
local function count_own(key, active, most)
  local own = redis.call('SCARD', key)
  local seems_full = own >= most
  if most == 0 then seems_full = own >= 1000 and own >= 2 * redis.call('SCARD', active) end
  if not seems_full then return own end
  for _, id in ipairs(redis.call('SMEMBERS', key)) do
    if redis.call('SISMEMBER', active, id) == 0 then own = own - redis.call('SREM', key, id) end
  end
  return own
end
`;

/** Counts a render for `/metrics`, by its model: exactly once, since its status changes here. A record that cannot be read is left out. */
const COUNT_RENDER = `
local function count_render(counts, record, name, outcome)
  local ok, request = pcall(cjson.decode, redis.call('HGET', record, 'request') or '')
  if not ok or type(request) ~= 'table' or type(request.modelId) ~= 'string' then return end
  redis.call('HINCRBY', counts, name .. '\\t' .. request.modelId .. outcome, 1)
end
`;

/**
 * Admits a render: at most `limit` unfinished ones, at most so many of its owner, as much as both may have stored, and
 * one per idempotency key. The render's id is its token: one that is there was admitted.
 * KEYS record, index, active, idempotency, another idempotency key to look at, index and active of the owner, gone,
 * bytes stored, their sums, counts.
 * ARGV limit, renderId, createdAtMs, idempotency value ('' for none), idempotency lifetime in ms, limit of the owner
 * (0 for none, '' for no owner), lifetime of `gone` in ms if a refusal is to be the last word, else '0', bytes of the
 * upload, bytes that may be stored, those of the owner (0: any number), the owner, then field, value, … The last word
 * holds against the same command, should it be still on its way.
 * Returns {'admitted'}, {'full', count}, {'owner full', count}, {'storage full', bytes}, {'owner storage full', bytes},
 * {'known', idempotency value} or {'gone'}.
 */
export const ADMIT = `${COUNT_OWN}${COUNT_STORED}${INDEX_RENDER}${NOTE_EVENT}${COUNT_RENDER}
if redis.call('EXISTS', KEYS[1]) == 1 then return {'admitted'} end
if redis.call('EXISTS', KEYS[8]) == 1 then return {'gone'} end
local function refuse(answer)
  if ARGV[7] ~= '0' then redis.call('SET', KEYS[8], ARGV[2], 'PX', ARGV[7]) end
  return answer
end
if ARGV[4] ~= '' then
  local known = redis.call('GET', KEYS[4]) or redis.call('GET', KEYS[5])
  if known then return refuse({'known', known}) end
end
local active = redis.call('SCARD', KEYS[3])
if active >= tonumber(ARGV[1]) then return refuse({'full', tostring(active)}) end
local function over(sum, most)
  local stored = tonumber(redis.call('HGET', KEYS[10], sum) or '0')
  return tonumber(most) > 0 and stored + tonumber(ARGV[8]) > tonumber(most) and string.format('%.0f', stored)
end
local stored = over('${SUM_OF_ALL}', ARGV[9])
if stored then return refuse({'storage full', stored}) end
stored = over('${sumOf('')}' .. ARGV[11], ARGV[10])
if stored then return refuse({'owner storage full', stored}) end
if ARGV[6] ~= '' then
  local most = tonumber(ARGV[6])
  local own = count_own(KEYS[7], KEYS[3], most)
  if most > 0 and own >= most then return refuse({'owner full', tostring(own)}) end
  redis.call('ZADD', KEYS[6], ARGV[3], ARGV[2])
  redis.call('SADD', KEYS[7], ARGV[2])
end
for i = 12, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('SADD', KEYS[3], ARGV[2])
index_render(KEYS[1], ARGV[2])
count_stored(KEYS[9], KEYS[10], KEYS[1], ARGV[2], ARGV[8])
if ARGV[4] ~= '' then redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[5]) end
note_event(KEYS[1], ARGV[2], 'render.queued')
count_render(KEYS[11], KEYS[1], 'farm_renders_submitted_total', '')
return {'admitted'}
`;

/**
 * Moves a render to another status if it is in one that allows it, and tells the workers when that ends it.
 * KEYS record, active, sums of the work (work.ts), bytes stored, their sums, counts. ARGV renderId, new status, the channel to
 * tell if that ends the render, else '', allowed statuses as a JSON array, the writer's token, bytes that its files take
 * then ('': as before), the event that tells of it, then field, value, …; a time (…AtMs) that is there already stays, so
 * that a retry does not hide how long a step took.
 * Returns 'moved', also when the same writer has moved it before; else the status, with which nothing was done, or nil
 * when there is no such render.
 */
export const TRANSITION = `${COUNT_STORED}${INDEX_RENDER}${NOTE_EVENT}${COUNT_RENDER}
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then return nil end
local status = cjson.decode(raw)
local writer = cjson.encode(ARGV[5])
if status == ARGV[2] and redis.call('HGET', KEYS[1], 'writer') == writer then return 'moved' end
local allowed = false
for _, candidate in ipairs(cjson.decode(ARGV[4])) do if candidate == status then allowed = true end end
if not allowed then return status end
redis.call('HSET', KEYS[1], 'status', cjson.encode(ARGV[2]), 'writer', writer)
index_render(KEYS[1], ARGV[1])
if ARGV[6] ~= '' then count_stored(KEYS[4], KEYS[5], KEYS[1], ARGV[1], ARGV[6]) end
for i = 8, #ARGV, 2 do
  local command = string.sub(ARGV[i], -4) == 'AtMs' and 'HSETNX' or 'HSET'
  redis.call(command, KEYS[1], ARGV[i], ARGV[i + 1])
end
if ARGV[3] ~= '' then
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('DEL', KEYS[3])
  redis.call('PUBLISH', ARGV[3], ARGV[1])
  count_render(KEYS[6], KEYS[1], 'farm_renders_total', '\\t' .. ARGV[2])
end
if status ~= ARGV[2] then note_event(KEYS[1], ARGV[1], ARGV[7]) end
if ARGV[3] ~= '' then keep_events(KEYS[1], false) end
return 'moved'
`;

/**
 * Removes a render that has ended, and frees its idempotency key; an unfinished one stays as it is.
 * KEYS record, progress, receipts, preview, index, gone, waits, bytes stored, their sums, events. ARGV renderId, statuses in which a render has ended as a JSON
 * array, prefixes of the idempotency keys and of the owners' indexes, the writer's token, lifetime of `gone` in ms.
 * Returns the status before, also when the same writer has removed it before, or nil when there is no such render.
 */
export const REMOVE = `${COUNT_STORED}${INDEX_RENDER}${NOTE_EVENT}
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then
  local writer, before = string.match(redis.call('GET', KEYS[6]) or '', '^(%S+) (%S+)$')
  return writer == ARGV[5] and before or nil
end
local status = cjson.decode(raw)
local ended = false
for _, candidate in ipairs(cjson.decode(ARGV[2])) do if candidate == status then ended = true end end
if not ended then return status end
local claimed = redis.call('HGET', KEYS[1], 'idempotencyKey')
if claimed then
  local key = ARGV[3] .. cjson.decode(claimed)
  local holder = redis.call('GET', key)
  if holder and cjson.decode(holder).renderId == ARGV[1] then redis.call('DEL', key) end
end
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner then redis.call('ZREM', ARGV[4] .. cjson.decode(owner), ARGV[1]) end
count_stored(KEYS[8], KEYS[9], KEYS[1], ARGV[1], '0')
unindex_render(KEYS[1], ARGV[1])
note_event(KEYS[1], ARGV[1], 'render.removed')
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[7], KEYS[10])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('SET', KEYS[6], ARGV[5] .. ' ' .. status, 'PX', ARGV[6])
return status
`;

/** KEYS record, active. ARGV renderId, statuses of unfinished renders as a JSON array. Takes an ended one out of active. */
export const COUNT_AS_ENDED = `
local raw = redis.call('HGET', KEYS[1], 'status')
for _, status in ipairs(cjson.decode(ARGV[2])) do if raw and status == cjson.decode(raw) then return 0 end end
return redis.call('SREM', KEYS[2], ARGV[1])
`;

/**
 * Notes the progress of a segment (attempt 0: one that was rendered before, by nobody now), unless the render has ended or a newer attempt has reported, and when the first
 * segment began. The entry is "attempt, frames of it, most frames of any attempt": what was done once counts as done,
 * and the attempt is the writer's token.
 * KEYS record, progress, active. ARGV segment index, attempt, frames done, time now, renderId. Returns the render's
 * status, or nil when there is no such render.
 */
export const PROGRESS = `${NOTE_PROGRESS}
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
if ARGV[2] ~= '0' then redis.call('HSETNX', KEYS[1], 'firstSegmentAtMs', ARGV[4]) end
note_progress(KEYS[1], KEYS[3], ARGV[5])
return status
`;

/**
 * Notes that a step of a render waits for the farm to be mended. KEYS record, waits. ARGV step, what it waits for.
 * Returns 1, or 0 when there is no such render.
 */
export const WAIT = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
`;

/**
 * Takes a failed render up again, unless too many are unfinished, of all or of its owner: it is queued, with the number of
 * its new run. Frames of segments without a receipt count as frames to be rendered again.
 * KEYS record, active, progress, receipts, waits. ARGV renderId, limit, the writer's token, prefix of the owners' active
 * sets, limit of the owner, 0 for none. Returns {'moved'}, also when the same writer has done so before, {'full', count},
 * {'owner full', count}, or the status, with which nothing was done; nil when there is no such render.
 */
export const RETRY = `${COUNT_OWN}${INDEX_RENDER}${NOTE_EVENT}
local raw = redis.call('HGET', KEYS[1], 'status')
if not raw then return nil end
local status = cjson.decode(raw)
local writer = cjson.encode(ARGV[3])
if redis.call('HGET', KEYS[1], 'writer') == writer then return {'moved'} end
if status ~= 'failed' then return {status} end
local active = redis.call('SCARD', KEYS[2])
if active >= tonumber(ARGV[2]) then return {'full', tostring(active)} end
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner then
  local own_active, most = ARGV[4] .. cjson.decode(owner), tonumber(ARGV[5])
  local own = count_own(own_active, KEYS[2], most)
  if most > 0 and own >= most then return {'owner full', tostring(own)} end
  redis.call('SADD', own_active, ARGV[1])
end
redis.call('HSET', KEYS[1], 'status', cjson.encode('queued'), 'writer', writer)
index_render(KEYS[1], ARGV[1])
redis.call('HINCRBY', KEYS[1], 'run', 1)
redis.call('HDEL', KEYS[1], 'error', 'finishedAtMs', 'stitchingAtMs')
redis.call('DEL', KEYS[5])
local progress = redis.call('HGETALL', KEYS[3])
for i = 1, #progress, 2 do
  local frames, most = string.match(progress[i + 1], '(%d+) (%d+)$')
  if redis.call('HEXISTS', KEYS[4], progress[i]) == 0 then frames = '0' end
  redis.call('HSET', KEYS[3], progress[i], '0 ' .. frames .. ' ' .. most)
end
redis.call('SADD', KEYS[2], ARGV[1])
note_event(KEYS[1], ARGV[1], 'render.queued')
keep_events(KEYS[1], true)
return {'moved'}
`;

/**
 * What the receipts of a render say together, in a field of its record: {count, timings_ms}. `count_receipt` adds one, or
 * takes one away. There are no sums while a worker of an older version has written receipts without them.
 */
const SUM_RECEIPTS = `
local function count_receipt(sums, text, sign)
  sums.count = sums.count + sign
  for stage, ms in pairs(cjson.decode(text).timings_ms) do
    sums.timings_ms[stage] = (sums.timings_ms[stage] or 0) + sign * ms
  end
end
local function sums_of(receipts, record)
  local raw = redis.call('HGET', record, 'receiptSums')
  if raw then return cjson.decode(raw) end
  if redis.call('HLEN', receipts) == 0 then return {count = 0, timings_ms = {}} end
end
local function note_sums(record, sums)
  if redis.call('HEXISTS', record, 'status') == 0 then return end
  if sums.count > 0 then redis.call('HSET', record, 'receiptSums', cjson.encode(sums))
  else redis.call('HDEL', record, 'receiptSums') end
end
`;

/** KEYS receipts, record. ARGV segment index, receipt as JSON; one that was there before is replaced. */
export const SAVE_RECEIPT = `${SUM_RECEIPTS}
local sums = sums_of(KEYS[1], KEYS[2])
local before = redis.call('HGET', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if not sums then return end
if before then count_receipt(sums, before, -1) end
count_receipt(sums, ARGV[2], 1)
note_sums(KEYS[2], sums)
`;

/** KEYS receipts, record. ARGV indexes of the segments whose receipts are to go. */
export const FORGET_RECEIPTS = `${SUM_RECEIPTS}
local sums = sums_of(KEYS[1], KEYS[2])
for _, index in ipairs(ARGV) do
  local before = redis.call('HGET', KEYS[1], index)
  if before and sums then count_receipt(sums, before, -1) end
  redis.call('HDEL', KEYS[1], index)
end
if sums then note_sums(KEYS[2], sums) end
`;
