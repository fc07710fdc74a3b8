import assert from 'node:assert/strict';
import { test } from 'node:test';
import { artifactKeys } from '../../shared/artifacts.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { until } from '../support/until.ts';

/** A Redis that takes writes and runs them 4 s later, or so late that the front end no longer waits for them. */

const { app, services, store, artifacts, renderIn } = await startApi({ models: { demo: DEMO_MODEL } });

function submit(idempotencyKey: string) {
  const payload = new FormData();
  payload.set('audio', new Blob(['The front end looks at no sound.']), 'speech.wav');
  payload.set('model_id', 'demo');
  return app.inject({ method: 'POST', url: '/v1/renders', payload, headers: { 'idempotency-key': idempotencyKey } });
}

const hold = async (forMs: number) => await services.redis.call('CLIENT', 'PAUSE', forMs, 'WRITE');

test('a render whose admission is held for 4 s is taken, and its key gives it again', async () => {
  assert.equal((await submit('first')).statusCode, 202);
  await hold(4000);
  const taken = await submit('short');
  assert.equal(taken.statusCode, 202, taken.payload);
  const { id } = taken.json<RenderView>();
  assert.equal((await submit('short')).json<RenderView>().id, id);
  assert.ok(await artifacts.size(artifactKeys.upload(id)));
});

test('one that is held for 20 s has an unknown outcome; the same key gives the render that was taken', async () => {
  await hold(20_000);
  const answer = await submit('long');
  assert.deepEqual([answer.statusCode, answer.json().error.code], [503, 'outcome_unknown'], answer.payload);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  const id = /r[a-z0-9]{9}-[a-f0-9]{10}/.exec(answer.json().error.message)?.[0] ?? '';
  assert.ok(await artifacts.size(artifactKeys.upload(id)), 'the upload was deleted');
  await until('the held commands have run', async () => (await store.find(id).catch(() => undefined)) !== undefined);
  const again = await submit('long');
  assert.deepEqual([again.statusCode, again.json<RenderView>().id], [202, id]);
  assert.ok(await artifacts.size(artifactKeys.upload(id)));
});

test('a cancel that is held for 10 s has an unknown outcome, and is done then', async () => {
  const queued = await renderIn('queued');
  await hold(10_000);
  const cancel = await app.inject({ method: 'POST', url: `/v1/renders/${queued}/cancel` });
  assert.deepEqual([cancel.statusCode, cancel.json().error.code], [503, 'outcome_unknown'], cancel.payload);
  await until('it is cancelled', async () => (await store.get(queued).catch(() => undefined))?.status === 'cancelled');
});

test('nothing is taken of a request that was surely refused', async () => {
  await services.redis.config('SET', 'maxmemory', '1');
  const refused = await submit('never');
  await services.redis.config('SET', 'maxmemory', '0');
  assert.deepEqual([refused.statusCode, refused.json().error.code], [503, 'redis_unavailable']);
  const renders = (await store.list(10)).map(({ renderId }) => renderId);
  const taken = await submit('never');
  assert.equal(taken.statusCode, 202);
  assert.ok(!renders.includes(taken.json<RenderView>().id));
});
