import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as context from '../../api/live/audio-context.ts';
import { FEATURE_ROWS_AFTER, frameCount } from '../../shared/sound/rates.ts';
import {
  featureRowCount,
  melFrameCount,
  melFramesOfWindows,
  rowsOfFrames,
  samplesOfMelFrames,
  windowCount,
  windowOfRow,
} from '../../worker/pipeline/sound-ranges.ts';

/** Samples [start, end) that frames of a sound depend on, by the pipeline's own stages. */
function dependence(first: number, last: number, sampleCount: number): { start: number; end: number } {
  const melTotal = melFrameCount(sampleCount);
  const windowTotal = windowCount(melTotal);
  const rows = rowsOfFrames({ start: first, end: last + 1 }, featureRowCount(windowTotal));
  const windows = { start: windowOfRow(rows.start, windowTotal), end: windowOfRow(rows.end - 1, windowTotal) + 1 };
  return samplesOfMelFrames(melFramesOfWindows(windows, melTotal), sampleCount);
}

describe('the sound that live frames wait for', () => {
  it('is what the pipeline reads for them, for a sound that goes on', () => {
    for (let frame = 0; frame < 400; frame++) {
      const { start, end } = dependence(frame, frame, 1_000_000);
      assert.equal(context.samplesUntilReady(frame, FEATURE_ROWS_AFTER), end, `end of frame ${frame}`);
      assert.ok(context.firstSampleNeeded(frame) <= start, `start of frame ${frame}`);
    }
  });

  it('is what the pipeline reads at the end of a sound, where windows are pulled back', () => {
    for (let sampleCount = 3000; sampleCount < 40_000; sampleCount += 37) {
      const last = frameCount(sampleCount) - 1;
      for (let frame = Math.max(0, last - 20); frame <= last; frame++) {
        const { start } = dependence(frame, last, sampleCount);
        assert.ok(context.firstSampleNeededToEnd(frame, sampleCount) <= start, `${frame} of ${sampleCount}`);
      }
    }
  });

  it('makes frames ready one after the other, none too early', () => {
    for (const rowsAhead of [0, 2, FEATURE_ROWS_AFTER]) {
      for (let sampleCount = 0; sampleCount < 60_000; sampleCount += 61) {
        const ready = context.readyFrames(sampleCount, rowsAhead);
        assert.ok(context.samplesUntilReady(ready, rowsAhead) > sampleCount);
        assert.ok(ready === 0 || context.samplesUntilReady(ready - 1, rowsAhead) <= sampleCount);
      }
    }
  });

  it('comes to 450 ms, and to 250 ms with two rows ahead', () => {
    assert.equal(context.algorithmicLatencyMs(FEATURE_ROWS_AFTER), 450);
    assert.equal(context.algorithmicLatencyMs(2), 250);
  });
});
