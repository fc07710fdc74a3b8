import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { hashFile } from '../../shared/files/hash-file.ts';
import { readCropRects } from '../../worker/avatar/crop-rects.ts';
import { refuseCutOff } from '../../worker/avatar/extract-frames.ts';
import { readLandmarkRects } from '../../worker/avatar/given-rects.ts';
import { readPictureFile, readPictureSize } from '../../worker/avatar/picture-file.ts';
import { tryNetworks } from '../../worker/models/loaded-model.ts';
import { findProblems } from '../../worker/models/model-problems.ts';
import { modelConfig } from '../support/model-config.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };

describe('a named pipe that nobody writes to, in place of a file', () => {
  let folder = '';
  let pipe = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-pipes-'));
    pipe = path.join(folder, 'pipe');
    await mkdir(path.join(folder, 'landmarks'));
    execFileSync('mkfifo', [pipe, path.join(folder, 'landmarks', '0.lms')]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const readers: Record<string, () => Promise<unknown>> = {
    'a picture': () => readPictureFile(pipe),
    'the first picture, whose size is read': () => readPictureSize(pipe),
    'crop rects': () => readCropRects(pipe),
    landmarks: () => readLandmarkRects(path.join(folder, 'landmarks')),
    'a video': () => refuseCutOff(pipe),
    'a network': () => tryNetworks(modelConfig({ modelPath: pipe, audioEncoderPath: pipe }), SETTINGS),
    'a file that is hashed': () => hashFile(pipe),
  };
  for (const [what, read] of Object.entries(readers)) {
    it(`${what}: is refused at once`, () => assert.rejects(read(), /is a named pipe, not a file/));
  }

  it('a model with such files is found to be unusable, without being loaded', async () => {
    const problems = await findProblems(modelConfig({ modelPath: pipe, audioEncoderPath: pipe, cropRectsPath: pipe }));
    assert.equal(problems.filter((problem) => /is a named pipe, not a file/.test(problem)).length, 3);
  });
});
