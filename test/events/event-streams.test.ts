import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import { ANYBODY } from '../../api/access/caller.ts';
import { buildApp } from '../../api/app.ts';
import { EventHub } from '../../api/events/event-hub.ts';
import { EventLog } from '../../api/events/event-log.ts';
import { EventStreams } from '../../api/events/event-streams.ts';
import { openServices } from '../../api/services.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { readerConnection } from '../../shared/redis/connections.ts';
import { renderEventSchema } from '../../shared/renders/events.ts';
import { EVENTS_KEY, eventsKey, recordKey } from '../../shared/renders/keys.ts';
import { startApi } from '../support/api.ts';
import { SILENT_LOGGER } from '../support/quiet-log.ts';
import { SAMPLE_PLAN } from '../support/sample-render.ts';
import { SseClient } from '../support/sse.ts';
import { until } from '../support/until.ts';

const MOST_OPEN = 6;
const KEYS = {
  boss: 'the-long-key-of-the-operator',
  ann: 'the-long-key-of-ann-alone',
  bob: 'the-long-key-of-bob-alone',
};
const api = await startApi({
  limits: { max_event_streams: MOST_OPEN },
  auth: {
    keys: Object.entries(KEYS).map(([name, key]) => ({
      name,
      sha256: hashApiKey(key),
      role: name === 'boss' ? 'operate' : 'render',
    })),
  },
});
const { store, services } = api;
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
// A second front end of the same farm, with a reader of its own.
const others = openServices({ config: services.config, redis: services.redis, log: SILENT_LOGGER });
const other = await buildApp(others, SILENT_LOGGER);
const otherUrl = await other.listen({ host: '127.0.0.1', port: 0 });
// A third one, whose clients are told soon that there is nothing.
const log = new EventLog(services.redis);
const hub = new EventHub(log, () => readerConnection(services.redis));
const quiet = await buildApp(
  { ...services, events: new EventStreams({ store, log, hub }, MOST_OPEN, 50) },
  SILENT_LOGGER,
);
const quietUrl = await quiet.listen({ host: '127.0.0.1', port: 0 });
after(async () => {
  await quiet.close();
  hub.close();
  await other.close();
  await others.close();
});

/** Nothing that happens once this has resolved is missed. */
async function follow(path: string, { key = KEYS.boss, after: id = '', at = url } = {}): Promise<SseClient> {
  const headers = { authorization: `Bearer ${key}`, ...(id === '' ? {} : { 'last-event-id': id }) };
  return await SseClient.open(`${at}${path}`, headers);
}

async function finish(id: string): Promise<void> {
  await store.startRendering(id, SAMPLE_PLAN);
  await store.startStitching(id);
  await store.complete(id);
}

const types = (events: readonly { type: string }[]) => events.map(({ type }) => type.replace('render.', ''));
const WHOLE = ['queued', 'running', 'progress', 'progress', 'completed'];

describe('events of a render', () => {
  it('come from the first one to its end, which ends the stream', async () => {
    const id = await api.renderIn('preparing');
    using client = await follow(`/v1/renders/${id}/events`);
    assert.equal(client.response.headers['content-type'], 'text/event-stream; charset=utf-8');
    const first = await client.take(2);
    await finish(id);
    const events = [...first, ...(await client.rest())];
    assert.deepEqual(types(events), WHOLE);
    assert.ok((client.retryMs ?? 0) > 0);
    for (const { data } of events) assert.equal(renderEventSchema.parse(data).data.id, id);
  });

  it('go on without gap or double at another front end, wherever the first one broke off', async () => {
    const id = await api.renderIn('preparing');
    const path = `/v1/renders/${id}/events`;
    const whole: string[] = [];
    {
      using client = await follow(path);
      whole.push(...(await client.take(2)).map((event) => event.id));
    }
    await store.startRendering(id, SAMPLE_PLAN);
    using again = await follow(path, { after: whole.at(-1) ?? '', at: otherUrl });
    await store.startStitching(id);
    await store.complete(id);
    whole.push(...(await again.rest()).map((event) => event.id));
    using all = await follow(path);
    assert.deepEqual(
      whole,
      (await all.rest()).map((event) => event.id),
    );
    for (const [at, eventId] of whole.entries()) {
      using rest = await follow(path, { after: eventId, at: at % 2 === 0 ? url : otherUrl });
      assert.deepEqual(
        (await rest.rest()).map((event) => event.id),
        whole.slice(at + 1),
      );
    }
  });

  it('end with 204 for a client that has seen the end, so that a browser does not come again', async () => {
    const id = await api.renderIn('completed');
    using client = await follow(`/v1/renders/${id}/events`);
    const last = (await client.rest()).at(-1);
    using again = await follow(`/v1/renders/${id}/events`, { after: last?.id ?? '' });
    assert.equal(again.response.statusCode, 204);
  });

  it('tell the end of a render whose events are gone, once, and nothing of one that was removed', async () => {
    const id = await api.renderIn('failed');
    await services.redis.del(eventsKey(id));
    using client = await follow(`/v1/renders/${id}/events`);
    const events = await client.rest();
    assert.deepEqual(types(events), ['failed']);
    assert.equal(renderEventSchema.parse(events[0]?.data).data.error?.code, 'audio_unreadable');
    using again = await follow(`/v1/renders/${id}/events`, { after: events[0]?.id ?? '' });
    assert.equal(again.response.statusCode, 204);
    await store.remove(id);
    using gone = await follow(`/v1/renders/${id}/events`);
    assert.equal(gone.response.statusCode, 404);
  });

  it('are told from the record where a worker of an earlier version wrote none', async () => {
    const id = await api.renderIn('stitching');
    using client = await follow(`/v1/renders/${id}/events`, { at: quietUrl });
    assert.equal((await client.take(4)).length, 4);
    const done = { status: '"completed"', finishedAtMs: String(Date.now()) };
    await services.redis.hset(recordKey(id), done);
    const rest = await client.rest();
    assert.deepEqual(types(rest), ['completed']);
    using again = await follow(`/v1/renders/${id}/events`, { after: rest[0]?.id ?? '' });
    assert.equal(again.response.statusCode, 204);
  });

  it('go on after a retry', async () => {
    const id = await api.renderIn('failed');
    await store.retry(id, { all: 100, own: 0 });
    using client = await follow(`/v1/renders/${id}/events`);
    assert.deepEqual(types(await client.take(3)), ['queued', 'failed', 'queued']);
    await store.cancel(id);
    assert.deepEqual(types(await client.rest()), ['cancelled']);
  });
});

describe('events of all renders', () => {
  it('come from now on, those alone that the key may see and the filter lets through', async () => {
    await api.renderIn('completed', {}, 'ann');
    using boss = await follow('/v1/events');
    using ann = await follow('/v1/events', { key: KEYS.ann, at: otherUrl });
    using done = await follow('/v1/events?status=completed');
    using model = await follow('/v1/events?model_id=eve');
    using chosen = await follow('/v1/events?types=render.queued,render.completed,render.queued');
    await Promise.all(
      [boss, ann, done, model, chosen].map((client) =>
        until('it is there', () => client.response.headers !== undefined),
      ),
    );
    await until('all follow', () => services.events.openCount === 4);
    const bobs = await api.renderIn('completed', { modelId: 'eve' }, 'bob');
    const anns = await api.renderIn('completed', {}, 'ann');
    const idsOf = (events: readonly { data: Record<string, unknown> }[]) =>
      events.map(({ data }) => renderEventSchema.parse(data).data.id);
    assert.deepEqual(idsOf(await boss.take(10)), [...Array(5).fill(bobs), ...Array(5).fill(anns)]);
    assert.deepEqual(idsOf(await ann.take(5)), Array(5).fill(anns));
    assert.deepEqual(idsOf(await done.take(2)), [bobs, anns]);
    assert.deepEqual(idsOf(await model.take(5)), Array(5).fill(bobs));
    assert.deepEqual(types(await chosen.take(4)), ['queued', 'completed', 'queued', 'completed']);
    using wrong = await follow('/v1/events?types=render.queued,render.complete');
    assert.equal(wrong.response.statusCode, 400);
    assert.match(
      await text(wrong.response),
      /unknown event \\"render.complete\\" \(did you mean \\"render.completed\\"/,
    );
    const foreign = await follow(`/v1/renders/${bobs}/events`, { key: KEYS.ann });
    assert.equal(foreign.response.statusCode, 404);
  });

  it('are kept open by comments while there are none', async () => {
    using client = await follow('/v1/events', { at: quietUrl });
    const next = client.next();
    await until('two have come', () => client.comments >= 2);
    const id = await api.renderIn('queued');
    assert.equal(renderEventSchema.parse((await next)?.data).data.id, id);
  });

  it('can be taken up again behind the last one, and say so when some are gone for good', async () => {
    const id = await api.renderIn('preparing');
    const [queued] = (await services.redis.xrange(eventsKey(id), '-', '+')).map(([eventId]) => eventId);
    await finish(id);
    using client = await follow('/v1/events', { after: queued ?? '', at: otherUrl });
    assert.deepEqual(types(await client.take(4)), WHOLE.slice(1));
    const next = await api.renderIn('queued');
    assert.equal((await client.next())?.data.type, 'render.queued');
    await services.redis.xtrim(EVENTS_KEY, 'MAXLEN', 1);
    using late = await follow('/v1/events', { after: queued ?? '' });
    const [missed, kept] = await late.take(2);
    assert.deepEqual([missed?.type, missed?.id], ['events.missed', '']);
    assert.equal(renderEventSchema.parse(kept?.data).data.id, next);
  });

  it('wait for a client that reads slowly, and let it go when too many do: it can go on behind its last one', async () => {
    const ends = new AbortController();
    using fast = await follow('/v1/events');
    const caller = { ...ANYBODY, revoked: ends.signal };
    const slow = await services.events.ofAll({ caller }, ends.signal);
    const fill = `for i = 1, 1500 do redis.call('XADD', KEYS[1], '*', 'type', 'render.queued', 'event', ARGV[1]) end`;
    await services.redis.eval(fill, 1, EVENTS_KEY, JSON.stringify({ renderId: 'r', status: 'queued' }));
    // By then all of them have come for the slow one, too.
    const all = (await fast.take(1500)).map(({ id }) => id);
    const got: string[] = [];
    for await (const item of slow) if (typeof item !== 'string') got.push(item.id);
    assert.ok(got.length < 1500, `${got.length}`);
    const rest = await services.events.ofAll({ caller, after: got.at(-1) ?? all[0] }, ends.signal);
    for await (const item of rest) {
      if (typeof item !== 'string') got.push(item.id);
      if (got.at(-1) === all.at(-1)) break;
    }
    ends.abort();
    assert.deepEqual(got, got.length === 1499 ? all.slice(1) : all);
  });

  it('are for so many clients at once as the configuration says', async () => {
    await until('the others have gone', () => services.events.openCount === 0);
    const clients = await Promise.all(Array.from({ length: MOST_OPEN }, () => follow('/v1/events')));
    using refused = await follow('/v1/events');
    assert.equal(refused.response.statusCode, 429);
    for (const client of clients) client[Symbol.dispose]();
    await until('they have gone', () => services.events.openCount === 0);
    using welcome = await follow('/v1/events');
    assert.equal(welcome.response.statusCode, 200);
  });

  it('end when the key goes, and when the front end does', async () => {
    using boss = await follow('/v1/events');
    using last = await follow('/v1/events', { at: otherUrl });
    await api.reconfigure({ auth: { keys: [{ name: 'x', sha256: hashApiKey('another-key-at-all'), role: 'admin' }] } });
    assert.deepEqual(await boss.rest(), []);
    await other.close();
    assert.deepEqual(await last.rest(), []);
  });
});
