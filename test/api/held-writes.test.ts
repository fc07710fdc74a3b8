import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { artifactKeys } from '../../shared/artifacts.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';

/**
 * A Redis that takes commands and runs them later: the front end's time-out is over by then. What it answers must be the
 * truth all the same.
 */

/** Longer than the front end waits for one answer, and shorter than it asks again. */
const HELD_MS = 2200;

const { app, services, artifacts } = await startApi({ models: { demo: DEMO_MODEL } });

function submit(idempotencyKey: string) {
  const payload = new FormData();
  payload.set('audio', new Blob(['The front end looks at no sound.']), 'speech.wav');
  payload.set('model_id', 'demo');
  return app.inject({ method: 'POST', url: '/v1/renders', payload, headers: { 'idempotency-key': idempotencyKey } });
}

test('a render whose admission Redis holds back is taken, and its key gives it again', async () => {
  assert.equal((await submit('sunday')).statusCode, 202);
  await services.redis.call('CLIENT', 'PAUSE', HELD_MS, 'WRITE');
  const taken = await submit('monday');
  assert.equal(taken.statusCode, 202, taken.payload);
  const { id } = taken.json<RenderView>();
  assert.equal((await submit('monday')).json<RenderView>().id, id);
  assert.ok(await artifacts.size(artifactKeys.upload(id)), 'its upload was deleted');
  assert.equal((await readdir(path.dirname(artifacts.localPath(artifactKeys.folder(id))))).length, 2);
});
