import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Batch } from '../../shared/views/batch-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';

const { app, services, store } = await startApi({
  models: { demo: DEMO_MODEL, other: DEMO_MODEL },
  limits: { max_upload_mb: 1 },
  webhooks: { secrets: [`whsec_${Buffer.alloc(32, 1).toString('base64')}`] },
});
const crowded = await startApi({ models: { demo: DEMO_MODEL }, server: { queue_size: 2 } });

function formOf(sounds: readonly (string | Buffer)[], fields: Record<string, string> = {}): FormData {
  const form = new FormData();
  for (const [index, sound] of sounds.entries()) {
    form.append('audio', new Blob([new Uint8Array(Buffer.from(sound))]), `line-${index}.wav`);
  }
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  return form;
}

async function send(payload: FormData | object, headers: Record<string, string> = {}, to = app) {
  return await to.inject({ method: 'POST', url: '/v1/renders/batch', payload, headers });
}

async function batchOf(...args: Parameters<typeof send>): Promise<Batch> {
  const answer = await send(...args);
  assert.equal(answer.statusCode, 200, answer.payload);
  return answer.json<Batch>();
}

const codesOf = ({ items }: Batch) => items.map(({ render, error }) => error?.code ?? render?.status);

describe('a batch', () => {
  it('makes a render of each file, with the fields of all and its own', async () => {
    const items = JSON.stringify([{}, { model_id: 'other', labels: { line: '2' }, start_frame: 9 }]);
    const fields = { model_id: 'demo', labels: '{"set": "a"}', items };
    const { taken, refused, items: answers } = await batchOf(formOf(['one', 'two', 'three'], fields));
    assert.deepEqual([taken, refused], [3, 0]);
    assert.deepEqual(
      answers.map(({ index, file_name, render }) => [index, file_name, render?.model_id, render?.labels]),
      [
        [0, 'line-0.wav', 'demo', { set: 'a' }],
        [1, 'line-1.wav', 'other', { line: '2' }],
        [2, 'line-2.wav', 'demo', { set: 'a' }],
      ],
    );
    assert.equal((await store.get(answers[1]?.render?.id ?? '')).request.startFrameIndex, 9);
  });

  it('tells the address that all of its items name, or one of their own', async () => {
    const [all, own] = ['https://example.com/all', 'https://example.com/own'];
    const events = ['render.running', 'render.removed'];
    const items = JSON.stringify([
      {},
      { webhook_url: own, webhook_events: events },
      { webhook_url: 'http://10.0.0.1/' },
    ]);
    const batch = await batchOf(formOf(['one', 'two', 'three'], { model_id: 'demo', webhook_url: all, items }));
    assert.deepEqual(codesOf(batch), ['queued', 'queued', 'address_refused']);
    const [first, second] = await Promise.all(batch.items.slice(0, 2).map(({ render }) => store.get(render?.id ?? '')));
    assert.deepEqual(
      [first?.request.webhook, second?.request.webhook],
      [
        { url: all, events: ['render.completed', 'render.failed', 'render.cancelled'] },
        { url: own, events },
      ],
    );
  });

  it('loses none of the others to a bad item, and leaves nothing of it behind', async () => {
    const folder = path.join(services.config.storageRoot, 'renders');
    const before = (await readdir(folder)).length;
    const items = JSON.stringify([{}, {}, {}, { output: 'gif' }, { model_id: 'nobody' }, { audio_url: 'x' }]);
    const sounds = ['one', '', Buffer.alloc(3 * 2 ** 20), 'four', 'five', 'six', 'seven'];
    const batch = await batchOf(formOf(sounds, { model_id: 'demo', items }));
    assert.deepEqual(codesOf(batch), [
      ...['queued', 'audio_empty', 'upload_too_large', 'request_invalid', 'model_unknown', 'request_invalid', 'queued'],
    ]);
    assert.deepEqual([batch.taken, batch.refused], [2, 5]);
    assert.equal((await readdir(folder)).length, before + 2);
  });

  it('is the same renders for the same Idempotency-Key, and takes what was refused before', async () => {
    const key = { 'idempotency-key': 'monday' };
    const form = () => formOf(['a', 'b', 'c'], { model_id: 'demo' });
    const ids = ({ items }: Batch) => items.map(({ render }) => render?.id);
    const first = await batchOf(form(), key, crowded.app);
    assert.deepEqual(codesOf(first), ['queued', 'queued', 'queue_full']);
    await crowded.store.cancel(first.items[0]?.render?.id ?? '');
    const again = await batchOf(form(), key, crowded.app);
    assert.deepEqual(codesOf(again), ['cancelled', 'queued', 'queued']);
    assert.deepEqual(ids(again).slice(0, 2), ids(first).slice(0, 2));
    const changed = await batchOf(formOf(['a', 'other', 'c'], { model_id: 'demo' }), key, crowded.app);
    assert.deepEqual(codesOf(changed), ['cancelled', 'idempotency_conflict', 'queued']);
  });

  it('takes addresses as JSON, and says of each what was wrong', async () => {
    const items = [{ audio_url: 'https://example.com/a.wav' }, {}, { audio_url: 'ftp://example.com/b.wav' }, { to: 0 }];
    const batch = await batchOf({ defaults: { model_id: 'demo' }, items });
    assert.deepEqual(codesOf(batch), ['address_refused', 'upload_missing', 'request_invalid', 'request_invalid']);
  });

  it('has room for 500 sounds, and not for more', async () => {
    const sounds = Array.from({ length: 500 }, (_, index) => `sound ${index}`);
    assert.equal((await batchOf(formOf(sounds, { model_id: 'demo' }))).taken, 500);
    const more = await send(formOf([...sounds, 'one more'], { model_id: 'demo' }));
    assert.deepEqual([more.statusCode, more.json().error.code], [400, 'request_invalid']);
    assert.equal((await send({ items: sounds.concat('x').map(() => ({})) })).statusCode, 400);
  });

  it('is refused whole when it is none', async () => {
    for (const [payload, code] of [
      [formOf([]), 'upload_missing'],
      [formOf(['one'], { items: '[{}, {}]' }), 'request_invalid'],
      [formOf(['one'], { items: '{' }), 'request_invalid'],
      [{ items: [] }, 'request_invalid'],
      [{ item: [{}] }, 'request_invalid'],
    ] as const) {
      const answer = await send(payload);
      assert.deepEqual([answer.statusCode, answer.json().error.code], [400, code], answer.payload);
    }
  });
});
