import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { EVENTS_MISSED, FarmClient, type FollowedEvent, patiently } from '../../client/index.ts';
import { LiveInbox } from '../../client/live-inbox.ts';
import type { LiveFrame } from '../../client/live-messages.ts';
import { framesOf } from '../../client/render-frames.ts';
import { startApi } from '../support/api.ts';
import { SAMPLE_PLAN } from '../support/sample-render.ts';
import { until } from '../support/until.ts';

const SOUND = new Blob([new Uint8Array(4000).fill(7)]);

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const api = await startApi({ webhooks: { secrets: [SECRET] } });
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
const client = new FarmClient(url);

async function finish(id: string): Promise<void> {
  await api.store.startPreparing(id);
  await api.store.startRendering(id, SAMPLE_PLAN);
  await api.store.startStitching(id);
  await api.store.complete(id);
}

const frameOf = (index: number, byte: number): LiveFrame => {
  return { type: 'frame', index, timeMs: 40 * index, skipped: 0, latencyMs: 1, data: new Uint8Array(10).fill(byte) };
};

describe('what comes to the client', () => {
  it('is cut into frames wherever the network cuts it', async () => {
    const head = (index: number) =>
      `\r\ncontent-type: image/jpeg\r\ncontent-length: 6\r\nx-frame-index: ${index}\r\n\r\n`;
    const body = Buffer.from(`--frame${head(3)}\r\n\r\n--\r\n--frame${head(7)}abcdef\r\n--frame--\r\n`);
    for (const size of [1, 2, 7, 40, body.length]) {
      const pieces = Array.from({ length: Math.ceil(body.length / size) }, (_, at) =>
        body.subarray(at * size, (at + 1) * size),
      );
      const frames = [];
      for await (const { index, data } of framesOf(Readable.from(pieces)))
        frames.push([index, String(Buffer.from(data))]);
      assert.deepEqual(frames, [
        [3, '\r\n\r\n--'],
        [7, 'abcdef'],
      ]);
    }
  });

  it('waits up to a limit, or leaves the oldest frames out and says so', () => {
    const [keeping, skipping] = [new LiveInbox(20, false), new LiveInbox(20, true)];
    for (const inbox of [keeping, skipping]) {
      for (let index = 0; index < 3; index++) inbox.put(frameOf(index, index));
      inbox.put({ type: 'interrupted', frame_index: 3 });
      inbox.put(frameOf(3, 3));
    }
    const all = (inbox: LiveInbox) => {
      const seen: (readonly [number, number] | string)[] = [];
      for (let next = inbox.take(); next; next = inbox.take()) {
        seen.push(next.type === 'frame' ? [next.index, next.skipped] : next.type);
      }
      return seen;
    };
    assert.deepEqual([keeping.isFull, skipping.isFull], [true, false]);
    assert.deepEqual(all(keeping), [[0, 0], [1, 0], [2, 0], 'interrupted', [3, 0]]);
    assert.deepEqual(all(skipping), [[2, 2], 'interrupted', [3, 0]]);
    assert.equal(keeping.bytes + skipping.bytes, 0);
  });
});

describe('the client', () => {
  it('sends all fields of a render, from bytes and from a Blob, and finds it by each filter', async () => {
    const since = new Date();
    const first = await client.submit(SOUND, {
      labels: { project: 'a b&c', take: '1' },
      priority: 'high',
      from: 25,
      to: 50,
      fileName: 'line.wav',
      output: 'frames',
      webhookUrl: 'https://example.com/renders',
      webhookEvents: ['render.running', 'render.completed'],
    });
    const { webhook } = (await api.store.get(first.id)).request;
    assert.deepEqual(webhook?.events, ['render.running', 'render.completed']);
    assert.deepEqual(first.labels, { project: 'a b&c', take: '1' });
    assert.deepEqual(first.range, { from: 25, to: 50 });
    assert.equal(first.priority, 'high');
    assert.equal(first.file_name, 'line.wav');
    assert.equal(first.output, 'frames');
    const second = await client.submit(new Uint8Array(2000), { idempotencyKey: 'k' });
    assert.equal((await client.submit(new Uint8Array(2000), { idempotencyKey: 'k' })).id, second.id);

    const ids = async (filter: Parameters<FarmClient['renders']>[0]) => {
      const found: string[] = [];
      for await (const { id } of client.renders(filter, 1)) found.push(id);
      return found;
    };
    assert.deepEqual(await ids({}), [second.id, first.id]);
    assert.deepEqual(await ids({ labels: { project: 'a b&c', take: '1' } }), [first.id]);
    assert.deepEqual(await ids({ status: 'failed' }), []);
    assert.deepEqual(await ids({ search: 'LINE a b&c' }), [first.id]);
    assert.deepEqual(await ids({ modelId: 'demo', createdFrom: since }), [second.id, first.id]);
    assert.deepEqual(await ids({ createdTo: since }), []);
    await assert.rejects(client.list(1, { createdTo: new Date(Number.NaN) }), { code: 'request_invalid' });
  });

  it('sends a batch, of which each sound is taken or refused by itself', async () => {
    const items = [
      { audio: SOUND, options: { labels: { line: '1' }, fileName: 'one.wav' } },
      { audio: new Uint8Array(0) },
      { audio: SOUND, options: { to: 5 } },
    ];
    const batch = await client.submitBatch(items, { labels: { of: 'all' }, priority: 'low' });
    assert.deepEqual([batch.taken, batch.refused], [2, 1]);
    const [first, second, third] = batch.items;
    assert.deepEqual([first?.render?.labels, first?.file_name], [{ line: '1' }, 'one.wav']);
    assert.equal(second?.error?.code, 'audio_empty');
    assert.deepEqual([third?.render?.labels, third?.render?.priority], [{ of: 'all' }, 'low']);
    assert.deepEqual(third?.render?.range, { from: 0, to: 5 });
    assert.deepEqual(await client.deliveries({ renderId: first?.render?.id ?? '' }), []);
  });

  it('tries a webhook, and knows what signs its messages', async () => {
    assert.deepEqual(await client.webhookSecrets(), [SECRET]);
    const { id, links } = await client.testWebhook(new URL('https://hooks.example.com/farm'));
    assert.ok(links.deliveries.endsWith(id));
    // No worker sends it here.
    assert.deepEqual(await client.deliveries({ messageId: id, limit: 1 }), []);
    await assert.rejects(client.testWebhook(new URL('http://127.0.0.1/')), { code: 'address_refused' });
    await assert.rejects(client.testWebhook(), { code: 'request_invalid' });
  });

  it('hands on what the farm refuses, with its code', async () => {
    await assert.rejects(client.submit(new URL('http://127.0.0.1:1/x.wav')), { code: 'address_refused' });
    await assert.rejects(client.picture('r0mwsm4v4r-d376f0928d', 'waveform'), { code: 'render_unknown' });
    const estimate = await client.estimate({ audioSeconds: 2, from: 10 });
    assert.equal(estimate.frames, 40);
    assert.equal(estimate.gpu_seconds, null);
  });

  it('follows the events of a render to its end, and goes on behind the one that it is told', async () => {
    const { id } = await client.submit(SOUND);
    await finish(id);
    const events: FollowedEvent[] = [];
    for await (const event of client.eventsOf(id)) events.push(event);
    assert.equal(events[0]?.type, 'render.queued');
    assert.equal(events.at(-1)?.type, 'render.completed');
    const second = events[1];
    assert.ok(second && second.type !== EVENTS_MISSED);
    const rest: FollowedEvent[] = [];
    for await (const event of client.eventsOf(id, { lastEventId: second.id })) rest.push(event);
    assert.deepEqual(rest, events.slice(2));
    const ends = client.events({ lastEventId: second.id, types: ['render.completed', 'render.failed'] });
    assert.deepEqual((await ends.next()).value, events.at(-1));
    await ends.return(undefined);
  });

  it('follows all renders until its signal ends that, also over a front end that starts again', async () => {
    const stop = new AbortController();
    const types: string[] = [];
    const following = (async () => {
      for await (const event of client.events({ signal: stop.signal })) types.push(event.type);
    })();
    following.catch(() => {});
    const appears = async () => {
      const before = types.length;
      await until('an event of a new render', async () => {
        await patiently(() => client.submit(SOUND), { forMs: 5000 });
        return types.length > before;
      });
    };
    await appears();
    api.app.server.closeAllConnections();
    await appears();
    stop.abort(new Error('enough'));
    await assert.rejects(following, /enough/);
    assert.ok(types.every((type) => type === 'render.queued'));
  });
});
