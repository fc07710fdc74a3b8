import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { AudioFile } from '../../worker/media/audio-file.ts';
import { privateFolder } from './media-files.ts';

const file = privateFolder();
const SAMPLES = Float32Array.from({ length: 5000 }, (_, index) => Math.sin(index));

async function openSamples(): Promise<AudioFile> {
  await writeFile(file('audio.f32'), SAMPLES);
  return await AudioFile.open(file('audio.f32'));
}

test('sound is read in the ranges that are asked for', async () => {
  await using audio = await openSamples();
  assert.equal(audio.sampleCount, 5000);
  for (const [start, end] of [
    [0, 5000],
    [0, 1],
    [4999, 5000],
    [1234, 2345],
  ] as const) {
    assert.deepEqual(await audio.read({ start, end }), SAMPLES.subarray(start, end).slice());
  }
});

test('an empty range has no samples', async () => {
  await using audio = await openSamples();
  assert.equal((await audio.read({ start: 5000, end: 5000 })).length, 0);
});

test('ranges can be read at the same time', async () => {
  await using audio = await openSamples();
  const starts = Array.from({ length: 50 }, (_, index) => index * 100);
  const pieces = await Promise.all(starts.map((start) => audio.read({ start, end: start + 100 })));
  assert.deepEqual(
    pieces,
    starts.map((start) => SAMPLES.slice(start, start + 100)),
  );
});

test('a range beyond the end is a storage fault, not silence', async () => {
  await using audio = await openSamples();
  await assert.rejects(audio.read({ start: 4990, end: 5001 }), {
    code: 'storage_failed',
    message: /before sample 5001/,
  });
});

test('bytes that make no whole sample are left out', async () => {
  await writeFile(file('cut.f32'), new Uint8Array(4 * 3 + 2));
  await using audio = await AudioFile.open(file('cut.f32'));
  assert.equal(audio.sampleCount, 3);
});

test('a file that is not there is a storage fault', async () => {
  await assert.rejects(AudioFile.open(file('nowhere.f32')), { code: 'storage_failed', message: /decoded sound/ });
});
