import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { Render, RenderBatch, RenderEstimate, RenderSpec } from '../../api/grpc/messages/farm.ts';
import { startGrpc } from '../../api/grpc/server.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { SILENT_LOGGER } from '../support/quiet-log.ts';
import { SAMPLE_PLAN } from '../support/sample-render.ts';
import { until } from '../support/until.ts';
import { FARM, failureOf, farmCode, type Message, TestClient } from './clients.ts';

/** Whatever HTTP takes of a render is taken over gRPC, too. No worker is needed to see that. */

const SOUND = 'The front end looks at no sound.';
const HOOK = 'https://example.com/renders';

const sounds = createServer((request, answer) => {
  if (request.url === '/talk/line.wav') answer.end(SOUND);
  else answer.writeHead(404).end();
});
await once(sounds.listen(0, '127.0.0.1'), 'listening');
const audio_url = `http://127.0.0.1:${(sounds.address() as AddressInfo).port}/talk/line.wav`;

const api = await startApi({
  models: { demo: DEMO_MODEL, other: DEMO_MODEL },
  server: { port: `127.0.0.1:${await freePort()}` },
  limits: { max_upload_mb: 1 },
  inputs: { url_hosts: ['127.0.0.1'], url_networks: ['127.0.0.1'] },
  webhooks: { secrets: [`whsec_${Buffer.alloc(32, 1).toString('base64')}`] },
});
const server = await startGrpc(api.services, SILENT_LOGGER);
const client = new TestClient(server.address);
after(async () => {
  client.close();
  await server.drain(0);
  sounds.close();
});

type Part = { spec: Partial<RenderSpec> } | { audio: Buffer };
const spec = (fields: Partial<RenderSpec> = {}): Part => ({ spec: { model_id: 'demo', ...fields } });
const audio = (text: string | Buffer): Part => ({ audio: Buffer.from(text) });
const submit = (...parts: Part[]) => client.upload<Render>(FARM, 'SubmitRender', parts);
const batch = (...parts: Part[]) => client.upload<RenderBatch>(FARM, 'SubmitBatch', parts);
const requestOf = async ({ render_id }: { render_id: string }) => (await api.store.get(render_id)).request;
const soundOf = async ({ render_id }: { render_id: string }) =>
  Buffer.concat(await api.artifacts.read(artifactKeys.upload(render_id)).toArray()).toString();
const codesOf = ({ items }: RenderBatch) => items.map(({ render, error }) => error?.code ?? render?.status);
const stored = async () => (await readdir(path.join(api.services.config.storageRoot, 'renders'))).length;

describe('a render over gRPC', () => {
  it('takes a sound by its address, and whom to tell of its end', async () => {
    const render = await submit(spec({ audio_url, webhook_url: HOOK, webhook_events: ['render.running'] }));
    assert.equal(render.file_name, 'line.wav');
    assert.equal(await soundOf(render), SOUND);
    const { webhook } = await requestOf(render);
    assert.deepEqual(webhook, { url: HOOK, events: ['render.running'] });
    for (const fields of [
      { webhook_url: HOOK, webhook_events: ['render.done'] },
      { webhook_events: ['render.running'] },
    ]) {
      assert.equal(farmCode(await failureOf(submit(spec(fields), audio('x')))), 'request_invalid');
    }
    assert.equal((await submit(spec({ audio_url, file_name: 'mine.wav' }))).file_name, 'mine.wav');
  });

  it('is refused with a sound and an address, and for an address that may not be asked', async () => {
    const before = await stored();
    const both = await failureOf(submit(spec({ audio_url }), audio('x')));
    assert.deepEqual([both.code, farmCode(both)], [status.INVALID_ARGUMENT, 'request_invalid']);
    for (const [fields, code] of [
      [{ audio_url: 'https://evil.test/a.wav' }, 'address_refused'],
      [{ audio_url, webhook_url: 'http://10.0.0.1/' }, 'address_refused'],
      [{ audio_url: audio_url.replace('line', 'none') }, 'remote_failed'],
    ] as const) {
      assert.equal(farmCode(await failureOf(submit(spec(fields)))), code);
    }
    assert.equal(await stored(), before);
  });
});

describe('a batch over gRPC', () => {
  it('makes a render of each sound, sent or fetched, each with fields of its own', async () => {
    const { taken, refused, items } = await batch(
      spec({ file_name: 'one.wav', labels: { line: '1' } }),
      ...[audio('on'), audio(''), audio('e')],
      spec({ audio_url, model_id: 'other', webhook_url: HOOK }),
      ...[spec(), audio('three')],
    );
    assert.deepEqual([taken, refused], [3, 0]);
    const renders = items.map(({ render }) => render as Render);
    assert.deepEqual(
      renders.map(({ file_name, model_id, labels }) => [file_name, model_id, labels]),
      [
        ['one.wav', 'demo', { line: '1' }],
        ['line.wav', 'other', {}],
        ['audio', 'demo', {}],
      ],
    );
    assert.deepEqual(await Promise.all(renders.map(soundOf)), ['one', SOUND, 'three']);
    const hooks = await Promise.all(renders.map(async (render) => (await requestOf(render)).webhook?.url));
    assert.deepEqual(hooks, [undefined, HOOK, undefined]);
  });

  it('loses none of the others to a bad one, and leaves nothing of it behind', async () => {
    const before = await stored();
    const large = Array.from({ length: 24 }, () => audio(Buffer.alloc(2 ** 16)));
    const answer = await batch(
      ...[spec(), audio('one')],
      spec(),
      ...[spec(), ...large],
      ...[spec({ jpeg_quality: 101 }), audio('four')],
      ...[spec({ model_id: 'nobody' }), audio('five')],
      ...[spec({ audio_url }), audio('six')],
      spec({ audio_url: 'https://evil.test/a.wav' }),
      ...[spec(), audio('eight')],
    );
    assert.deepEqual(codesOf(answer), [
      ...['QUEUED', 'audio_empty', 'upload_too_large', 'request_invalid', 'model_unknown', 'request_invalid'],
      ...['address_refused', 'QUEUED'],
    ]);
    assert.deepEqual([answer.taken, answer.refused], [2, 6]);
    assert.match(answer.items[3]?.error?.message ?? '', /jpeg_quality: got 101/);
    assert.equal(await stored(), before + 2);
  });

  it('is the same render for the same key, whatever call brings it', async () => {
    const first = await submit(spec({ idempotency_key: 'k' }), audio('x'));
    const { items } = await batch(
      spec({ idempotency_key: 'k' }),
      audio('x'),
      spec({ idempotency_key: 'k' }),
      audio('y'),
    );
    assert.deepEqual([items[0]?.render?.render_id, items[1]?.error?.code], [first.render_id, 'idempotency_conflict']);
  });

  it('has room for 500 sounds, and takes none of what is no batch', async () => {
    const many = Array.from({ length: 500 }, () => spec({ jpeg_quality: 101 }));
    assert.equal((await batch(...many)).items.length, 500);
    const before = await stored();
    for (const parts of [[], [audio('x')], [spec(), audio('x'), {} as Part], [spec(), audio('x'), ...many]]) {
      assert.equal(farmCode(await failureOf(batch(...parts))), 'request_invalid');
    }
    assert.equal(await stored(), before);
  });

  it('takes nothing of a call that breaks off', async () => {
    const before = await stored();
    const { call, answer } = client.open<RenderBatch>(FARM, 'SubmitBatch');
    for (const part of [spec(), audio('one'), spec(), audio('two')]) call.write(part);
    await until('the first sound has come', async () => (await stored()) > before);
    call.cancel();
    assert.equal((await failureOf(answer)).code, status.CANCELLED);
    await until('what came has gone', async () => (await stored()) === before);
  });
});

describe('a watched render', () => {
  it('is shown at each event, at once, to the one that ended it; nothing is missed', async () => {
    const id = await api.renderIn('queued');
    const call = client.watch(FARM, 'WatchRender', { render_id: id });
    const states = (call as AsyncIterable<Message>)[Symbol.asyncIterator]();
    const next = async () => {
      const { status: state, frames_done } = (await states.next()).value as unknown as Render;
      return `${state} ${frames_done}`;
    };
    assert.equal(await next(), 'QUEUED 0');
    await api.store.startPreparing(id);
    assert.equal(await next(), 'PREPARING 0');
    await api.store.startRendering(id, { ...SAMPLE_PLAN, segmentGpus: [0] });
    assert.equal(await next(), 'RENDERING 0');
    await api.store.segments.reportProgress(id, 0, 1, 10);
    assert.equal(await next(), 'RENDERING 10');
    await api.store.startStitching(id);
    await api.store.complete(id);
    const rest: string[] = [];
    for (let state = await states.next(); !state.done; state = await states.next())
      rest.push(String(state.value.status));
    assert.equal(rest.at(-1), 'COMPLETED');
  });
});

describe('an estimate over gRPC', () => {
  it('is what HTTP says, with −1 for what nobody has measured', async () => {
    const estimate = (request: object) => client.unary<RenderEstimate>(FARM, 'EstimateRender', request);
    assert.deepEqual(await estimate({ model_id: 'demo', audio_seconds: 60, from_frame: 100 }), {
      ...{ model_id: 'demo', frames: 1400, gpus: 0 },
      ...{ frames_per_second: -1, gpu_seconds: -1, queue_seconds: -1, finish_seconds: -1 },
    });
    for (const [request, code] of [
      [{ model_id: 'nobody', audio_seconds: 1 }, 'model_unknown'],
      [{ model_id: 'demo' }, 'request_invalid'],
      [{ model_id: 'demo', audio_seconds: 4000 }, 'audio_too_long'],
    ] as const) {
      assert.equal(farmCode(await failureOf(estimate(request))), code);
    }
  });
});
