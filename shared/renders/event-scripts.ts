import { EVENTS_KEY, WEBHOOK_OUTBOX_KEY } from './keys.ts';

/** What the scripts on render records share to tell of their changes, in the same step as the change itself. */

/** Events of all renders that are kept; Redis trims in pieces of a hundred. At 400 bytes each it is 4 MB. */
export const MOST_EVENTS = 10_000;
/** Of one render. Progress comes once a second at most: the beginning of a long render's goes. */
const MOST_OF_A_RENDER = 300;
/** How long the events of a render that has ended can be read again, in ms. */
const KEPT_AFTER_THE_END_MS = 3_600_000;
/** Progress of one render: so often at most, and less often while many renders are unfinished. */
const PROGRESS_EVERY_MS = { least: 1000, most: 5000, forEachUnfinished: 50 } as const;

/** Channel that wakes the workers which send webhooks: something lies in the outbox. */
export const WEBHOOK_CHANNEL = WEBHOOK_OUTBOX_KEY;

/**
 * `note_event(record, id, event_type)` adds an event to the stream of the farm, under the same id to that of the render,
 * and, if the render's webhook wants it, to the outbox. Call it last, when the record says what is now; for one that is
 * removed, while it is still there. Nothing in the record makes it fail: the change itself has happened.
 */
export const NOTE_EVENT = `
local function decoded(text)
  if not text then return nil end
  local ok, value = pcall(cjson.decode, text)
  return ok and value or nil
end
local function note_event(record, id, event_type)
  local fields = redis.call('HMGET', record, 'status', 'request', 'owner', 'plan', 'error')
  local request, plan = decoded(fields[2]) or {}, decoded(fields[4]) or {}
  local event = {renderId = id, status = decoded(fields[1]), modelId = request.modelId, output = request.output,
    labels = request.labels, owner = decoded(fields[3]), framesTotal = plan.frameCount, error = decoded(fields[5]), framesDone = 0}
  for _, entry in ipairs(redis.call('HVALS', record .. ':progress')) do
    event.framesDone = event.framesDone + (tonumber(string.match(entry, '(%d+)$')) or 0)
  end
  local text = cjson.encode(event)
  local at = redis.call('XADD', '${EVENTS_KEY}', 'MAXLEN', '~', ${MOST_EVENTS}, '*', 'type', event_type, 'event', text)
  redis.pcall('XADD', record .. ':events', 'MAXLEN', '~', ${MOST_OF_A_RENDER}, at, 'type', event_type, 'event', text)
  if event_type ~= 'render.progress' then redis.call('HSET', record, 'lastEventId', cjson.encode(at)) end
  local webhook = request.webhook or {}
  for _, wanted in ipairs(webhook.events or {}) do
    if wanted == event_type then
      redis.call('XADD', '${WEBHOOK_OUTBOX_KEY}', '*', 'id', at, 'type', event_type, 'event', text, 'url', webhook.url,
        'signedFor', webhook.signedFor or '')
      redis.call('PUBLISH', '${WEBHOOK_CHANNEL}', at)
    end
  end
end
local function keep_events(record, for_ever)
  if for_ever then redis.call('PERSIST', record .. ':events')
  else redis.call('PEXPIRE', record .. ':events', ${KEPT_AFTER_THE_END_MS}) end
end
`;

/**
 * `note_progress(record, active, id)` adds an event of progress, unless the last one of the render is too recent. By the
 * clock of Redis: the workers' differ.
 */
export const NOTE_PROGRESS = `${NOTE_EVENT}
local function note_progress(record, active, id)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local told = tonumber(redis.call('HGET', record, 'progressToldAtMs') or '0')
  local every = ${PROGRESS_EVERY_MS.forEachUnfinished} * redis.call('SCARD', active)
  every = math.min(${PROGRESS_EVERY_MS.most}, math.max(${PROGRESS_EVERY_MS.least}, every))
  if now >= told and now - told < every then return end
  redis.call('HSET', record, 'progressToldAtMs', string.format('%.0f', now))
  note_event(record, id, 'render.progress')
end
`;
