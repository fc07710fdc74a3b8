import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FFT_SIZE, MEL_BANDS } from '../../shared/sound/rates.ts';
import type { IndexRange } from '../../worker/pipeline/contract.ts';
import { realFftMagnitudes, SPECTRUM_BINS } from '../../worker/pipeline/fft.ts';
import { computeMel } from '../../worker/pipeline/mel.ts';
import { melFrameCount, samplesOfMelFrames } from '../../worker/pipeline/sound-ranges.ts';
import { fixtureFloats, largestDifference, referenceFloats, referenceMissing } from './files.ts';

function wholeMel(samples: Float32Array): Float32Array {
  const frames = { start: 0, end: melFrameCount(samples.length) };
  return computeMel({ samples, firstSample: 0, totalSamples: samples.length }, frames);
}

function melFromPiece(samples: Float32Array, frames: IndexRange): Float32Array {
  const needed = samplesOfMelFrames(frames, samples.length);
  const piece = samples.slice(needed.start, needed.end);
  return computeMel({ samples: piece, firstSample: needed.start, totalSamples: samples.length }, frames);
}

test('the FFT gives the magnitudes that the definition of the DFT gives', () => {
  const signal = Float64Array.from({ length: FFT_SIZE }, (_, n) => Math.sin(n * n * 0.01) + (n % 7) - 3);
  const magnitudes = new Float64Array(SPECTRUM_BINS);
  realFftMagnitudes(signal, magnitudes);
  for (let bin = 0; bin < SPECTRUM_BINS; bin++) {
    let re = 0;
    let im = 0;
    for (let n = 0; n < FFT_SIZE; n++) {
      const angle = (2 * Math.PI * ((bin * n) % FFT_SIZE)) / FFT_SIZE;
      re += (signal[n] as number) * Math.cos(angle);
      im -= (signal[n] as number) * Math.sin(angle);
    }
    assert.ok(Math.abs(Math.hypot(re, im) - (magnitudes[bin] as number)) < 1e-9, `bin ${bin}`);
  }
});

test('a sound of N samples has 1 + ⌊N/200⌋ mel frames', () => {
  assert.deepEqual([0, 1, 199, 200, 334_739].map(melFrameCount), [1, 1, 1, 2, 1674]);
});

test('the mel agrees with librosa within 1e-4', (t) => {
  const error = largestDifference(wholeMel(fixtureFloats('mel-signal.f32')), fixtureFloats('mel-expected.f32'));
  t.diagnostic(`largest error ${error}`);
  assert.ok(error <= 1e-4, `largest error ${error}`);
});

test('the mel of real speech agrees with the original within 1e-4', { skip: referenceMissing }, (t) => {
  const error = largestDifference(wholeMel(referenceFloats('speech.pcm.f32')), referenceFloats('speech.mel.f32'));
  t.diagnostic(`largest error ${error}`);
  assert.ok(error <= 1e-4, `largest error ${error}`);
});

test('the mel of any range, from no more samples than it needs, is that part of the whole bit for bit', () => {
  const samples = fixtureFloats('mel-signal.f32');
  const whole = wholeMel(samples);
  const frameTotal = melFrameCount(samples.length);
  for (let start = 0; start < frameTotal; start++) {
    for (const end of [start + 1, start + 2, start + 16, start + 33, frameTotal]) {
      if (end > frameTotal) continue;
      const part = melFromPiece(samples, { start, end });
      assert.deepEqual(part, whole.slice(start * MEL_BANDS, end * MEL_BANDS), `frames ${start} … ${end}`);
    }
  }
});

test('an empty range of mel frames is empty', () => {
  assert.equal(melFromPiece(fixtureFloats('mel-signal.f32'), { start: 5, end: 5 }).length, 0);
});

test('silence is −4 in every band, and so is no sound at all', () => {
  assert.ok(wholeMel(new Float32Array(1000)).every((value) => value === -4));
  assert.ok(wholeMel(new Float32Array(0)).every((value) => value === -4));
});
