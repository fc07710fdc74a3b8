import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { resultSize } from '../../worker/media/result-size.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';

const root = await mkdtemp(path.join(tmpdir(), 'farm-test-size-'));
after(() => rm(root, { recursive: true }));
const artifacts = new LocalArtifacts(root);

test('the pictures of a render are counted wherever in the avatar it began', async () => {
  for (let frame = 0; frame < 3; frame++) {
    await artifacts.publish(artifactKeys.frame('r1', frame), (file) => writeFile(file, 'x'.repeat(10 * (frame + 1))));
  }
  const request = { ...SAMPLE_REQUEST, output: 'frames', startFrameIndex: 7 } as const;
  assert.equal(await resultSize(artifacts, 'r1', request, { frameCount: 3 }), 60);
});
