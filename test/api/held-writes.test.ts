import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { ANYBODY } from '../../api/access/caller.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';

/**
 * A Redis that takes commands and runs them later: the front end's time-out is over by then. What it answers must be the
 * truth all the same.
 */

/** Longer than the front end waits for one answer, and shorter than it asks again. */
const HELD_MS = 2200;

const { services, artifacts } = await startApi({ models: { demo: DEMO_MODEL } });

/** @param meanwhile runs when the upload is there, and the render is about to be admitted. */
async function submit(idempotencyKey: string, meanwhile: () => Promise<unknown> = async () => {}): Promise<RenderView> {
  const { submission } = services;
  const upload = await submission.storeUpload('speech.wav', Readable.from(['The front end looks at no sound.']));
  await meanwhile();
  const options = { modelId: 'demo', output: 'mp4', startFrameIndex: 0, jpegQuality: 75 } as const;
  return await submission.submit(upload, options, { caller: ANYBODY, idempotencyKey });
}

test('a render whose admission Redis holds back is taken, and its key gives it again', async () => {
  await submit('sunday');
  const { id } = await submit('monday', () => services.redis.call('CLIENT', 'PAUSE', HELD_MS, 'WRITE'));
  assert.equal((await submit('monday')).id, id);
  assert.ok(await artifacts.size(artifactKeys.upload(id)), 'its upload was deleted');
  assert.equal((await readdir(path.dirname(artifacts.localPath(artifactKeys.folder(id))))).length, 2);
});
