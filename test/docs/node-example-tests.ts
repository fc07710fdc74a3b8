import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { differences, renderedFrames } from '../grpc/speech.ts';
import type { TestFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';

const run = promisify(execFile);
const EXAMPLE = fileURLToPath(new URL('../../examples/node/infer.mjs', import.meta.url));
const SECONDS = 1;

/** @param farm has one model, `demo`. */
export function describeNodeExample(farm: TestFarm): void {
  describe('the Node example', () => {
    const inFolder = (name: string) => path.join(farm.folder, name);
    const speech = inFolder('example.wav');

    before(async () => {
      await writeWav(speech, syllables(SECONDS));
    });

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
}
