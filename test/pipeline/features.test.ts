import assert from 'node:assert/strict';
import { test } from 'node:test';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { FEATURE_SIZE, MEL_BANDS } from '../../shared/sound/rates.ts';
import { writeAudioInput } from '../../worker/pipeline/audio-input.ts';
import { AUDIO_INPUT_FLOATS, WINDOW_FLOATS } from '../../worker/pipeline/contract.ts';
import { gatherFeatureRows } from '../../worker/pipeline/feature-rows.ts';
import {
  featureRowCount,
  melFrameCount,
  melFramesOfWindows,
  paddedSampleCount,
  rowsOfFrames,
  windowCount,
  windowOfRow,
  windowStart,
} from '../../worker/pipeline/sound-ranges.ts';
import { gatherWindows } from '../../worker/pipeline/windows.ts';
import { largestDifference, referenceFloats, referenceMissing } from './files.ts';

test('the reference clip has 520 windows, 522 feature rows and 523 frames', () => {
  assert.equal(windowCount(melFrameCount(334_739)), 520);
  assert.equal(featureRowCount(520), 522);
  assert.equal(frameCount(334_739), 523);
});

test('windows start 3.2 mel frames apart and the last ones are pulled back to the end', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 10].map((index) => windowStart(index, 100)),
    [0, 3, 6, 9, 12, 16, 32],
  );
  assert.equal(windowCount(100), 28);
  assert.deepEqual(
    [25, 26, 27].map((index) => windowStart(index, 100)),
    [80, 83, 84],
  );
  assert.deepEqual(melFramesOfWindows({ start: 20, end: 28 }, 100), { start: 64, end: 100 });
});

test('windows are counted in the floating-point order of the original', () => {
  assert.equal(windowCount(16 + 368), 116); // 368 / 80 · 25 is 114.99999999999999 in floating point
  assert.equal(windowCount(16 + 384), 122);
});

test('a sound shorter than 16 mel frames is taken as 3000 samples: 2 windows, both at its start', () => {
  assert.equal(paddedSampleCount(1), 3000);
  assert.equal(paddedSampleCount(3001), 3001);
  const melFrameTotal = melFrameCount(paddedSampleCount(1));
  assert.equal(melFrameTotal, 16);
  assert.equal(windowCount(melFrameTotal), 2);
  assert.deepEqual([windowStart(0, 16), windowStart(1, 16)], [0, 0]);
});

test('windows are gathered mel × time from whichever piece of mel holds them', () => {
  const firstFrame = 7;
  const data = Float32Array.from({ length: 60 * MEL_BANDS }, (_, i) => i + firstFrame * MEL_BANDS);
  const windows = { start: 4, end: 9 };
  const gathered = gatherWindows({ data, firstFrame }, windows, 1000);
  assert.equal(gathered.length, 5 * WINDOW_FLOATS);
  for (const [window, band, time] of [
    [4, 0, 0],
    [4, 79, 15],
    [6, 31, 8],
    [8, 79, 0],
  ] as const) {
    const value = gathered[(window - 4) * WINDOW_FLOATS + band * 16 + time];
    assert.equal(value, (windowStart(window, 1000) + time) * MEL_BANDS + band);
  }
});

test('the first and the last window stand twice in the feature rows', () => {
  assert.deepEqual(
    [0, 1, 2, 9, 10, 11].map((row) => windowOfRow(row, 10)),
    [0, 0, 1, 8, 9, 9],
  );
});

test('frames ask for the rows around them that exist', () => {
  assert.deepEqual(rowsOfFrames({ start: 0, end: 1 }, 102), { start: 0, end: 8 });
  assert.deepEqual(rowsOfFrames({ start: 50, end: 54 }, 102), { start: 42, end: 61 });
  assert.deepEqual(rowsOfFrames({ start: 98, end: 103 }, 102), { start: 90, end: 102 });
  assert.deepEqual(rowsOfFrames({ start: 50, end: 54 }, 102, 3, 4), { start: 46, end: 57 });
});

test('frames far behind the sound ask for nothing', () => {
  const rows = rowsOfFrames({ start: 200, end: 204 }, 102);
  assert.equal(rows.end - rows.start, 0);
});

test('rows outside F are zero in the audio input, whatever the buffer held before', () => {
  const data = new Float32Array(4 * FEATURE_SIZE).fill(1);
  const input = new Float32Array(AUDIO_INPUT_FLOATS + 2).fill(9);
  writeAudioInput({ data, firstRow: 0 }, 1, input, 1);
  const rowSums = Array.from({ length: 16 }, (_, row) =>
    input.slice(1 + row * FEATURE_SIZE, 1 + (row + 1) * FEATURE_SIZE).reduce((sum, value) => sum + value, 0),
  );
  assert.deepEqual(rowSums, [0, 0, 0, 0, 0, 0, 0, 512, 512, 512, 512, 0, 0, 0, 0, 0]);
  assert.deepEqual([input[0], input.at(-1)], [9, 9]);
});

test('audio inputs agree with the original within 1e-6', { skip: referenceMissing }, (t) => {
  const features = referenceFloats('speech.features.f32');
  const expected = referenceFloats('audio_windows.f32');
  const rowTotal = features.length / FEATURE_SIZE;
  const frames = [0, 1, 8, 260, 515, 521];
  const input = new Float32Array(frames.length * AUDIO_INPUT_FLOATS);
  frames.forEach((frame, place) => {
    const range = rowsOfFrames({ start: frame, end: frame + 1 }, rowTotal);
    // Row r of F is window r − 1: giving the encoder's rows back must rebuild F, its repeated ends included.
    const rows = gatherFeatureRows(range, FEATURE_SIZE, (row) => {
      const window = windowOfRow(row, rowTotal - 2);
      return features.subarray((window + 1) * FEATURE_SIZE, (window + 2) * FEATURE_SIZE);
    });
    writeAudioInput(rows, frame, input, place * AUDIO_INPUT_FLOATS);
  });
  const error = largestDifference(input, expected);
  t.diagnostic(`largest error ${error}`);
  assert.ok(error <= 1e-6, `largest error ${error}`);
});

test('a video of 20 frames a second has ⌊N/800 + ½⌋', () => {
  assert.deepEqual(
    [0, 399, 400, 1199, 1200, 16_000].map((samples) => frameCount(samples, 20)),
    [1, 1, 1, 1, 2, 20],
  );
});

test('a render has ⌊N/640 + ½⌋ frames and never none', () => {
  assert.deepEqual(
    [0, 1, 319, 320, 640, 959, 960, 16_000].map((samples) => frameCount(samples)),
    [1, 1, 1, 1, 1, 1, 2, 25],
  );
});
