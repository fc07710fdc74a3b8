import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as context from '../../api/live/audio-context.ts';
import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { FRAME_RATES, type FrameRate, frameCount } from '../../shared/sound/frame-rate.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import {
  featureRowCount,
  melFrameCount,
  melFramesOfWindows,
  rowsOfFrames,
  samplesOfMelFrames,
  windowCount,
  windowOfRow,
} from '../../worker/pipeline/sound-ranges.ts';

const EXACT = { rowsAhead: FEATURE_ROWS_AFTER };
/** What frames of videos of both rates hear. */
const RATES = FRAME_RATES.map((frameRate) => ({ ...EXACT, frameRate }));

/** Samples [start, end) that frames of a sound depend on, by the pipeline's own stages. */
function dependence(
  first: number,
  last: number,
  sampleCount: number,
  { frameRate }: { readonly frameRate: FrameRate },
): { start: number; end: number } {
  const melTotal = melFrameCount(sampleCount);
  const windowTotal = windowCount(melTotal);
  const row = (frame: number) => rowOfFrame(frame, 'ave', frameRate);
  const rows = rowsOfFrames({ start: row(first), end: row(last) + 1 }, featureRowCount(windowTotal));
  const windows = { start: windowOfRow(rows.start, windowTotal), end: windowOfRow(rows.end - 1, windowTotal) + 1 };
  return samplesOfMelFrames(melFramesOfWindows(windows, melTotal), sampleCount);
}

describe('the sound that live frames wait for', () => {
  it('is what the pipeline reads for them, for a sound that goes on', () => {
    for (const rate of RATES) {
      for (let frame = 0; frame < 400; frame++) {
        const { start, end } = dependence(frame, frame, 1_000_000, rate);
        assert.equal(context.samplesUntilReady(frame, rate), end, `end of frame ${frame}`);
        assert.ok(context.firstSampleNeeded(frame, rate) <= start, `start of frame ${frame}`);
      }
    }
  });

  it('is what the pipeline reads at the end of a sound, where windows are pulled back', () => {
    for (let sampleCount = 3000; sampleCount < 40_000; sampleCount += 37) {
      for (const rate of RATES) {
        const last = frameCount(sampleCount, rate.frameRate) - 1;
        for (let frame = Math.max(0, last - 20); frame <= last; frame++) {
          const { start } = dependence(frame, last, sampleCount, rate);
          assert.ok(context.firstSampleNeededToEnd(frame, sampleCount, rate) <= start, `${frame} of ${sampleCount}`);
        }
      }
    }
  });

  it('makes frames ready one after the other, none too early', () => {
    const contexts = [{ rowsAhead: 0 }, { rowsAhead: 2 }, ...RATES, { rowsAhead: 2, frameRate: 20 as const }];
    for (const heard of contexts) {
      for (let sampleCount = 0; sampleCount < 60_000; sampleCount += 61) {
        const ready = context.readyFrames(sampleCount, heard);
        assert.ok(context.samplesUntilReady(ready, heard) > sampleCount);
        assert.ok(ready === 0 || context.samplesUntilReady(ready - 1, heard) <= sampleCount);
      }
    }
  });

  it('comes to 450 ms, and to 250 ms with two rows ahead', () => {
    assert.equal(context.algorithmicLatencyMs(EXACT), 450);
    assert.equal(context.algorithmicLatencyMs({ rowsAhead: 2 }), 250);
  });
});
