import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toView } from '../../api/renders/view.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import { sumTimings } from '../../shared/renders/timings.ts';
import { renderViewSchema } from '../../shared/views/render-view.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const NO_PICTURES = { contact_sheet: null, waveform: null, waterfall: null };
const T0 = Date.UTC(2025, 0, 1, 12);
const QUEUED: RenderRecord = { renderId: 'r1', status: 'queued', request: SAMPLE_REQUEST, createdAtMs: T0 };
const PREPARING: RenderRecord = { ...QUEUED, status: 'preparing', preparingAtMs: T0 + 100 };
const WAITING: RenderRecord = { ...PREPARING, status: 'rendering', renderingAtMs: T0 + 300, plan: SAMPLE_PLAN };
const RENDERING: RenderRecord = { ...WAITING, firstSegmentAtMs: T0 + 400 };
const STITCHING: RenderRecord = { ...RENDERING, status: 'stitching', stitchingAtMs: T0 + 3400 };
const COMPLETED: RenderRecord = { ...STITCHING, status: 'completed', finishedAtMs: T0 + 4000 };

/** The view at `afterMs` after the render was made; it always fits its own schema. */
function view(
  record: RenderRecord,
  afterMs: number,
  framesDone = 0,
  segments: SegmentReceipt[] = [],
  framesRepeating = 0,
) {
  const stages = segments.length > 0 ? sumTimings(segments) : undefined;
  return renderViewSchema.parse(toView(record, { framesDone, framesRepeating }, stages, T0 + afterMs));
}

function receipt(index: number, inference: number): SegmentReceipt {
  return {
    index,
    frames: { start: index * 100, end: index * 100 + 50 },
    gpu: 0,
    worker: 'gpu-0',
    provider: 'cpu',
    width: 1280,
    height: 720,
    attempt: 1,
    wall_ms: 1,
    timings_ms: { mel: 1, encoder: 2, background: 3, visual_input: 4, inference, composite: 5, encode: 6 },
    model_files: [],
  };
}

test('a queued render has waited since it was made, and has no more to tell', () => {
  assert.deepEqual(view(QUEUED, 70), {
    id: 'r1',
    status: 'queued',
    owner: null,
    model_id: 'ann',
    output: 'mp4',
    file_name: 'speech.wav',
    labels: {},
    priority: 'normal',
    range: null,
    created_at: '2025-01-01T12:00:00.000Z',
    started_at: null,
    finished_at: null,
    audio_seconds: null,
    fps: 25,
    frames: { done: 0, total: null, repeating: 0 },
    frames_per_second: null,
    eta_seconds: null,
    timings_ms: { queued: 70, prepare: null, waiting: null, render: null, stitch: null, total: null, stages: null },
    waiting: null,
    error: null,
    links: { self: '/v1/renders/r1', video: null, frames: null, receipt: null, ...NO_PICTURES },
  });
});

test('a render that is being prepared has begun', () => {
  const { started_at, timings_ms } = view(PREPARING, 250);
  assert.equal(started_at, '2025-01-01T12:00:00.100Z');
  assert.equal(timings_ms.queued, 100);
  assert.equal(timings_ms.prepare, 150);
  assert.equal(timings_ms.render, null);
});

test('a render under way knows its length, its speed and the time that is left', () => {
  const { audio_seconds, frames, frames_per_second, eta_seconds, timings_ms } = view(RENDERING, 2400, 50);
  assert.equal(audio_seconds, 6);
  assert.deepEqual(frames, { done: 50, total: 150, repeating: 0 });
  assert.equal(frames_per_second, 25);
  assert.equal(eta_seconds, 4);
  assert.equal(timings_ms.prepare, 200);
  assert.equal(timings_ms.waiting, 100);
  assert.equal(timings_ms.render, 2000);
  assert.equal(timings_ms.stitch, null);
  assert.equal(timings_ms.total, null);
});

test('a render whose segments wait behind others is not slow', () => {
  const { frames_per_second, timings_ms } = view(WAITING, 60_300);
  assert.equal(timings_ms.waiting, 60_000);
  assert.equal(timings_ms.render, null);
  assert.equal(frames_per_second, null);
});

test('before the first frame there is no speed and no time left', () => {
  for (const afterMs of [400, 900]) {
    const { frames_per_second, eta_seconds } = view(RENDERING, afterMs);
    assert.deepEqual({ frames_per_second, eta_seconds }, { frames_per_second: null, eta_seconds: null });
  }
});

test('a frame in the first millisecond is no endless speed', () => {
  assert.equal(view(RENDERING, 400, 4).frames_per_second, null);
});

test('with the last frame done no time is left', () => {
  assert.equal(view(RENDERING, 3400, 150).eta_seconds, 0);
});

test('speed and time left are rounded for people', () => {
  const { frames_per_second, eta_seconds } = view(RENDERING, 400 + 1700, 7);
  assert.equal(frames_per_second, 4.12);
  assert.equal(eta_seconds, 34.7);
});

test('while it is stitched, the speed of rendering stands still', () => {
  const { frames_per_second, eta_seconds, timings_ms, links } = view(STITCHING, 9000, 150);
  assert.equal(frames_per_second, 50);
  assert.equal(eta_seconds, null);
  assert.equal(timings_ms.render, 3000);
  assert.equal(timings_ms.stitch, 5600);
  assert.equal(links.video, null);
});

test('a completed render links to its video and its receipt, and its times add up', () => {
  const { links, timings_ms, finished_at } = view(COMPLETED, 1_000_000, 150);
  assert.deepEqual(links, {
    self: '/v1/renders/r1',
    video: '/v1/renders/r1/video',
    frames: null,
    receipt: '/v1/renders/r1/receipt',
    contact_sheet: '/v1/renders/r1/contact-sheet',
    waveform: '/v1/renders/r1/waveform',
    waterfall: '/v1/renders/r1/waterfall',
  });
  assert.equal(finished_at, '2025-01-01T12:00:04.000Z');
  const { queued, prepare, waiting, render, stitch, total } = timings_ms;
  assert.deepEqual(
    { queued, prepare, waiting, render, stitch, total },
    {
      queued: 100,
      prepare: 200,
      waiting: 100,
      render: 3000,
      stitch: 600,
      total: 4000,
    },
  );
});

test('the time left takes in frames that are rendered again', () => {
  const { frames, eta_seconds } = view(RENDERING, 2400, 50, [], 25);
  assert.deepEqual(frames, { done: 50, total: 150, repeating: 25 });
  assert.equal(eta_seconds, 5);
});

test('a render of frames links to its frames instead of a video', () => {
  const { links } = view({ ...COMPLETED, request: { ...SAMPLE_REQUEST, output: 'frames' } }, 5000, 150);
  assert.equal(links.frames, '/v1/renders/r1/frames/{index}');
  assert.equal(links.video, null);
});

test('the work of the segments that are done is summed up by stage', () => {
  assert.deepEqual(view(RENDERING, 2400, 100, [receipt(0, 40), receipt(1, 60)]).timings_ms.stages, {
    mel: 2,
    encoder: 4,
    background: 6,
    visual_input: 8,
    inference: 100,
    composite: 10,
    encode: 12,
  });
});

test('a failed render shows its error, and time stands still from then on', () => {
  const error = new FarmError('inference_failed', 'the network fell over').toReport();
  const failed: RenderRecord = { ...RENDERING, status: 'failed', error, finishedAtMs: T0 + 1400 };
  const { status, timings_ms, eta_seconds, links, ...rest } = view(failed, 90_000, 25);
  assert.equal(status, 'failed');
  assert.deepEqual(rest.error, error);
  assert.equal(rest.frames_per_second, 25);
  assert.equal(timings_ms.render, 1000);
  assert.equal(timings_ms.total, 1400);
  assert.equal(eta_seconds, null);
  assert.deepEqual(links, { self: '/v1/renders/r1', video: null, frames: null, receipt: null, ...NO_PICTURES });
});

test('a render that was cancelled in the queue waited until then', () => {
  const cancelled: RenderRecord = { ...QUEUED, status: 'cancelled', finishedAtMs: T0 + 30 };
  const { timings_ms, started_at } = view(cancelled, 90_000);
  assert.equal(timings_ms.queued, 30);
  assert.equal(timings_ms.total, 30);
  assert.equal(timings_ms.prepare, null);
  assert.equal(started_at, null);
});

test('frames of earlier renders are done at once, and say nothing of the speed', () => {
  const progress = { framesDone: 120, framesRepeating: 0, framesKept: 100 };
  const { frames, frames_per_second, eta_seconds } = toView(RENDERING, progress, undefined, T0 + 1400);
  assert.deepEqual(
    { frames, frames_per_second, eta_seconds },
    {
      frames: { done: 120, total: 150, repeating: 0 },
      frames_per_second: 20,
      eta_seconds: 1.5,
    },
  );
  const { firstSegmentAtMs: _, ...unrendered } = STITCHING;
  const whole = toView(unrendered, { ...progress, framesDone: 150, framesKept: 150 }, undefined, T0 + 3500);
  assert.deepEqual([whole.timings_ms.waiting, whole.timings_ms.render, whole.frames_per_second], [3100, null, null]);
});
