import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ANYBODY } from '../../api/access/caller.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { until } from '../support/until.ts';

/** A Redis that takes writes and runs them 4 s later, or so late that the front end no longer waits for them. */

const { app, services, store, artifacts, renderIn } = await startApi({ models: { demo: DEMO_MODEL } });

/** @param meanwhile runs when the upload is there, and the render is about to be admitted. */
async function submit(idempotencyKey: string, meanwhile: () => Promise<unknown> = async () => {}): Promise<RenderView> {
  const { submission } = services;
  const upload = await submission.storeUpload('speech.wav', Readable.from(['The front end looks at no sound.']));
  await meanwhile();
  const options = { modelId: 'demo', output: 'mp4', startFrameIndex: 0, jpegQuality: 75 } as const;
  return await submission.submit(upload, options, { caller: ANYBODY, idempotencyKey });
}

const hold = async (forMs: number) => await services.redis.call('CLIENT', 'PAUSE', forMs, 'WRITE');

test('a render whose admission is held for 4 s is taken, and its key gives it again', async () => {
  await submit('first');
  const { id } = await submit('short', () => hold(4000));
  assert.equal((await submit('short')).id, id);
  assert.ok(await artifacts.size(artifactKeys.upload(id)));
});

test('one that is held for 20 s has an unknown outcome; the same key gives the render that was taken', async () => {
  let id = '';
  await assert.rejects(
    submit('long', () => hold(20_000)),
    (error: FarmError) => {
      id = /r[a-z0-9]{9}-[a-f0-9]{10}/.exec(error.message)?.[0] ?? '';
      return error.code === 'outcome_unknown';
    },
  );
  assert.ok(await artifacts.size(artifactKeys.upload(id)), 'the upload was deleted');
  await until('the held commands have run', async () => (await store.find(id).catch(() => undefined)) !== undefined);
  assert.equal((await submit('long')).id, id);
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
  await assert.rejects(submit('never'), { code: 'redis_unavailable' });
  await services.redis.config('SET', 'maxmemory', '0');
  const renders = (await store.list(10)).records.map(({ renderId }) => renderId);
  assert.ok(!renders.includes((await submit('never')).id));
});
