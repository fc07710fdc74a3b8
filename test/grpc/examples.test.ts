import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { differences, renderedFrames } from './speech.ts';

const run = promisify(execFile);
const EXAMPLE = fileURLToPath(new URL('../../examples/node/infer.mjs', import.meta.url));
const SECONDS = 1;

describe('the Node example', () => {
  let farm: TestFarm;
  let speech = '';
  const inFolder = (name: string) => path.join(farm.folder, name);

  before(async () => {
    // The example asks for the demo avatar; here another one stands under its name.
    farm = await startFarm({ models: { demo: SMALL_MODEL } });
    speech = inFolder('speech.wav');
    await writeWav(speech, syllables(SECONDS));
  });
  after(async () => await farm[Symbol.asyncDispose]());

  const infer = (...args: string[]) => run(process.execPath, [EXAMPLE, '--address', farm.grpcAddress, ...args]);

  it('writes the frames of a whole render', async () => {
    const { stdout } = await infer(speech, '--frames', '12', '--out', inFolder('frames'));
    assert.match(stdout, /^12 frames in .* from GPU 0: \d+ ms/);
    const names = (await readdir(inFolder('frames'))).sort();
    const frames = await Promise.all(names.map((name) => readFile(path.join(inFolder('frames'), name))));
    assert.deepEqual(differences(frames, (await renderedFrames(farm, SECONDS)).slice(0, 12)), []);
  });

  it('says what is wrong', async () => {
    await assert.rejects(infer(speech, '--frames', '99'), /batch_size: got 99, expected 1 to 32/);
  });
});
