import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configSchema } from '../../shared/config/schema.ts';
import type { SyncMode } from '../../shared/renders/footage.ts';
import { cutSegments, leastSamples, planRender, rangeOf } from '../../worker/media/plan.ts';

test('a render is cut into segments of one length, the last one shorter', () => {
  assert.deepEqual(cutSegments({ frameCount: 250, segmentFrames: 100 }), [
    { start: 0, end: 100 },
    { start: 100, end: 200 },
    { start: 200, end: 250 },
  ]);
});

test('a render as long as its segments has no empty one at its end', () => {
  assert.deepEqual(cutSegments({ frameCount: 200, segmentFrames: 100 }), [
    { start: 0, end: 100 },
    { start: 100, end: 200 },
  ]);
});

test('a render shorter than a segment is one segment', () => {
  assert.deepEqual(cutSegments({ frameCount: 1, segmentFrames: 100 }), [{ start: 0, end: 1 }]);
  assert.deepEqual(cutSegments({ frameCount: 100, segmentFrames: 100 }), [{ start: 0, end: 100 }]);
});

test('whatever the lengths, the segments follow each other without gap or overlap', () => {
  for (let frameTotal = 1; frameTotal <= 120; frameTotal++) {
    for (const segmentFrames of [1, 2, 7, 50, 119, 120, 121]) {
      const segments = cutSegments({ frameCount: frameTotal, segmentFrames });
      let next = 0;
      for (const { start, end } of segments) {
        assert.equal(start, next);
        assert.ok(end > start && end - start <= segmentFrames);
        next = end;
      }
      assert.equal(next, frameTotal);
    }
  }
});

test('the plan holds the length and everything that makes the pictures what they are', () => {
  const settings = configSchema.parse({
    render: { segment_frames: 50, batch_frames: 8, encoder_batch_windows: 16, h264_crf: 18, h264_preset: 'slow' },
  }).render;
  assert.deepEqual(planRender(96_000, settings), {
    sampleCount: 96_000,
    frameCount: 150,
    segmentFrames: 50,
    batchFrames: 8,
    encoderBatchWindows: 16,
    h264Crf: 18,
    h264Preset: 'slow',
  });
});

test('a range is cut out of the whole render, and what lies behind its end is left out', () => {
  const { render } = configSchema.parse({});
  const cut = (range: { from: number; to?: number }) => {
    const { firstFrame, frameCount, totalFrames } = planRender(96_000, render, { range });
    return [firstFrame, frameCount, totalFrames];
  };
  assert.deepEqual(cut({ from: 30, to: 31 }), [30, 1, 150]);
  assert.deepEqual(cut({ from: 0, to: 1000 }), [0, 150, 150]);
  assert.deepEqual(cut({ from: 149 }), [149, 1, 150]);
  assert.throws(() => cut({ from: 150 }), { code: 'request_invalid', message: /begins at frame 150, .* 0 to 149/ });
  assert.deepEqual(cutSegments({ firstFrame: 30, frameCount: 120, segmentFrames: 100 }), [
    { start: 30, end: 130 },
    { start: 130, end: 150 },
  ]);
});

test('picture and sound end within half a frame of each other, and one sample makes a frame', () => {
  const { render } = configSchema.parse({});
  const frames = (sampleCount: number) => planRender(sampleCount, render).frameCount;
  assert.deepEqual([1, 319, 640, 959, 960, 1599, 1600].map(frames), [1, 1, 1, 1, 2, 2, 3]);
  for (let sampleCount = 320; sampleCount < 20_000; sampleCount += 37) {
    assert.ok(Math.abs(frames(sampleCount) * 640 - sampleCount) <= 320, `${sampleCount} samples`);
  }
});

test('a render of own footage ends with it where its sync mode says so, and its sound is filled up', () => {
  const request = (syncMode: SyncMode) => {
    const sums = { videoSha256: 'abc', marksSha256: 'def' };
    return { footage: { ...sums, fileName: 'me.mp4', marks: 'rects', syncMode } } as const;
  };
  const second = 16_000;
  const cut = request('cut');
  assert.deepEqual(rangeOf(cut, 2 * second, 30), { from: 0, to: 30 });
  assert.equal(rangeOf(cut, second, 30), undefined, 'the sound ends first');
  assert.equal(rangeOf(request('loop'), 2 * second, 30), undefined);
  assert.deepEqual(rangeOf({ ...cut, range: { from: 10, to: 20 } }, 2 * second, 30), { from: 10, to: 20 });
  assert.deepEqual(rangeOf({ ...cut, range: { from: 10 } }, 2 * second, 30), { from: 10, to: 30 });
  const behind = { ...cut, range: { from: 30 } };
  assert.throws(() => rangeOf(behind, 2 * second, 30), { code: 'request_invalid', message: /frame 30, .* 0 to 29/ });
  assert.deepEqual(rangeOf({ ...cut, frameRate: 20 }, 2 * second, 30), { from: 0, to: 30 });
  assert.equal(leastSamples({ ...request('silence'), frameRate: 20 }, 30), 24_000);
  assert.deepEqual([leastSamples(request('silence'), 30), leastSamples(cut, 30), leastSamples({})], [19_200, 0, 0]);
});
