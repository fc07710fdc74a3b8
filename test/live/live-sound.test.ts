import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstSampleNeeded, samplesUntilReady } from '../../api/live/audio-context.ts';
import { LiveSound } from '../../api/live/live-sound.ts';
import { FEATURE_ROWS_AFTER, frameCount } from '../../shared/sound/rates.ts';

const SECOND = 16_000;
/** Sample i has the value i, so that a piece shows where it was cut. */
const numbered = (sampleCount: number) => Float32Array.from({ length: sampleCount }, (_, index) => index);

describe('the sound of a live stream', () => {
  it('gives a range of frames what they depend on and no more, however much has come', () => {
    const sound = new LiveSound(SECOND, FEATURE_ROWS_AFTER);
    sound.push(numbered(100 * SECOND));
    for (const start of [0, 16, 1600]) {
      const { samples, firstSample, totalSamples } = sound.pieceFor(start, start + 16);
      assert.equal(firstSample, firstSampleNeeded(start));
      assert.equal(totalSamples, samplesUntilReady(start + 15, FEATURE_ROWS_AFTER));
      assert.deepEqual([samples[0], samples.at(-1)], [firstSample, totalSamples - 1]);
    }
  });

  it('gives the last frames everything up to the end', () => {
    const sound = new LiveSound(SECOND, FEATURE_ROWS_AFTER);
    sound.push(numbered(3 * SECOND));
    sound.end();
    const frames = frameCount(3 * SECOND);
    const { samples, totalSamples } = sound.pieceFor(frames - 5, frames);
    assert.deepEqual([samples.at(-1), totalSamples], [3 * SECOND - 1, 3 * SECOND]);
  });

  it('lets go of what only earlier frames needed', () => {
    const sound = new LiveSound(SECOND, FEATURE_ROWS_AFTER);
    sound.push(numbered(10 * SECOND));
    sound.forgetBefore(200);
    assert.equal(sound.heldSamples, 10 * SECOND - firstSampleNeeded(200));
    assert.equal(sound.pieceFor(200, 201).samples[0], firstSampleNeeded(200));
  });
});
