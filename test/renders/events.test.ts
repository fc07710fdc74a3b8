import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { MOST_EVENTS } from '../../shared/renders/event-scripts.ts';
import {
  type RenderEventName,
  renderEventSchema,
  storedEventSchema,
  toRenderEvent,
} from '../../shared/renders/events.ts';
import { EVENTS_KEY, eventsKey, recordKey, WEBHOOK_OUTBOX_KEY } from '../../shared/renders/keys.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const server = await startRedisServer();
const redis = await server.connect();
const store = new RenderStore(redis);
beforeEach(() => redis.flushall());

const FAILURE = new FarmError('audio_empty', 'no samples').toReport();
const WEBHOOK = { url: 'https://a.test/hook', events: ['render.completed', 'render.failed'] };

async function admit(renderId: string, request: object = {}): Promise<void> {
  await store.admit(renderId, { ...SAMPLE_REQUEST, ...request }, 1000, undefined);
}

async function complete(renderId: string): Promise<void> {
  await store.startPreparing(renderId);
  await store.startRendering(renderId, SAMPLE_PLAN);
  await store.startStitching(renderId);
  await store.complete(renderId);
}

async function eventsIn(key: string) {
  return (await redis.xrange(key, '-', '+')).map(([id, [, type, , text]]) => ({
    id,
    ...toRenderEvent(type as RenderEventName, id, storedEventSchema.parse(JSON.parse(text ?? ''))),
  }));
}

describe('events of renders', () => {
  it('come with every change, in the stream of the farm and of the render, under the same ids', async () => {
    await admit('r1');
    await complete('r1');
    const events = await eventsIn(EVENTS_KEY);
    assert.deepEqual(await eventsIn(eventsKey('r1')), events);
    assert.deepEqual(
      events.map(({ type, data }) => `${type} ${data.status}`),
      [
        'render.queued queued',
        'render.running preparing',
        'render.progress rendering',
        'render.progress stitching',
        'render.completed completed',
      ],
    );
    const last = renderEventSchema.parse(events.at(-1));
    assert.deepEqual(last.data.frames, { done: 0, total: SAMPLE_PLAN.frameCount });
    assert.equal(last.data.links.receipt, '/v1/renders/r1/receipt');
    assert.equal(await redis.hget(recordKey('r1'), 'lastEventId'), JSON.stringify(events.at(-1)?.id));
  });

  it('come once, when a step is taken again by the same writer, and never for one that was refused', async () => {
    await admit('r1');
    await admit('r1');
    await store.startPreparing('r1', 'w');
    await store.startPreparing('r1', 'w');
    await store.startPreparing('r1', 'v');
    await store.fail('r1', FAILURE, 'w');
    await store.fail('r1', FAILURE, 'w');
    await store.cancel('r1');
    const events = await eventsIn(EVENTS_KEY);
    assert.deepEqual(
      events.map(({ type }) => type),
      ['render.queued', 'render.running', 'render.failed'],
    );
    assert.deepEqual(events.at(-1)?.data.error, FAILURE);
  });

  it('tell of a retry and of a removal, which takes the events of the render with it', async () => {
    await admit('r1');
    await store.fail('r1', FAILURE);
    const lifetime = await redis.pttl(eventsKey('r1'));
    assert.ok(lifetime > 3_000_000 && lifetime <= 3_600_000, String(lifetime));
    await store.retry('r1', { all: 10, own: 0 });
    assert.equal(await redis.pttl(eventsKey('r1')), -1);
    await store.cancel('r1');
    await store.remove('r1');
    assert.equal(await redis.exists(eventsKey('r1')), 0);
    assert.deepEqual(
      (await eventsIn(EVENTS_KEY)).map(({ type }) => type),
      ['render.queued', 'render.failed', 'render.queued', 'render.cancelled', 'render.removed'],
    );
  });

  it('tell of progress once a second at most, with all frames that are done', async () => {
    await admit('r1');
    await store.startPreparing('r1');
    await store.startRendering('r1', SAMPLE_PLAN);
    for (let frames = 1; frames <= 5; frames++) await store.segments.reportProgress('r1', 0, 1, frames);
    assert.equal((await eventsIn(eventsKey('r1'))).length, 4);
    await redis.hset(recordKey('r1'), 'progressToldAtMs', String(Date.now() - 1100));
    await store.segments.reportProgress('r1', 1, 1, 4);
    const last = (await eventsIn(eventsKey('r1'))).at(-1);
    assert.deepEqual([last?.type, last?.data.frames.done], ['render.progress', 9]);
    assert.equal((await store.get('r1')).status, 'rendering');
  });

  it('are bounded, of the farm and of each render', async () => {
    const fill = `for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'type', 'x', 'event', '{}') end`;
    await redis.eval(fill, 1, EVENTS_KEY, MOST_EVENTS + 500);
    await redis.eval(fill, 1, eventsKey('r1'), 1000);
    await admit('r1');
    assert.ok((await redis.xlen(EVENTS_KEY)) <= MOST_EVENTS + 100);
    assert.ok((await redis.xlen(eventsKey('r1'))) <= 400);
  });

  it('go to the outbox of webhooks in the same step, those alone that the render asks for', async () => {
    await admit('r1', { webhook: { ...WEBHOOK, signedFor: 'studio' } });
    await admit('r2');
    await complete('r1');
    await complete('r2');
    const outbox = await redis.xrange(WEBHOOK_OUTBOX_KEY, '-', '+');
    assert.equal(outbox.length, 1);
    const [, fields = []] = outbox[0] ?? [];
    const entry = Object.fromEntries(fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]]] : [])));
    assert.deepEqual([entry.type, entry.url, entry.signedFor], ['render.completed', WEBHOOK.url, 'studio']);
    assert.equal(JSON.parse(entry.event ?? '').renderId, 'r1');
  });

  it('never keep a render from its next status, whatever is in its record', async () => {
    await admit('r1');
    await redis.hset(recordKey('r1'), 'request', 'no json', 'plan', '[1]', 'owner', '{');
    await redis.xadd(eventsKey('r1'), '99999999999999-0', 'type', 'x', 'event', '{}');
    assert.equal(await store.cancel('r1'), true);
    assert.equal(await redis.hget(recordKey('r1'), 'status'), '"cancelled"');
  });
});
