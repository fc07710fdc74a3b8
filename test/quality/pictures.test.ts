import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import type { RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import { assess } from '../../worker/quality/assess.ts';
import { contactSheet } from '../../worker/quality/contact-sheet.ts';
import { sheetFrames } from '../../worker/quality/sheet-frames.ts';
import { drawWaterfall } from '../../worker/quality/waterfall.ts';
import { drawWaveform } from '../../worker/quality/waveform.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';

const T0 = Date.UTC(2025, 0, 1);
const RECORD: RenderRecord = {
  ...{ renderId: 'r1', status: 'stitching', request: SAMPLE_REQUEST, createdAtMs: T0, preparingAtMs: T0 + 100 },
  ...{ renderingAtMs: T0 + 600, firstSegmentAtMs: T0 + 700, stitchingAtMs: T0 + 9000 },
};

/** A segment of two seconds that began so many ms after the render was made. */
function segment(index: number, gpu: number, beganMs: number | undefined): SegmentReceipt {
  const timings_ms = { mel: 100, encoder: 100, background: 100, visual_input: 100, inference: 1000 };
  return {
    ...{ index, gpu, frames: { start: index * 100, end: index * 100 + 100 }, worker: 'w', provider: 'cpu' },
    ...{ width: 64, height: 48, attempt: index + 1, wall_ms: 2000, model_files: [] },
    ...(beganMs !== undefined && { started_at: new Date(T0 + beganMs).toISOString() }),
    timings_ms: { ...timings_ms, composite: 300, encode: 5000 },
  };
}

/** Class, left and right end of each bar. */
function barsOf(svg: string): { kind: string; from: number; to: number }[] {
  const rects = svg.matchAll(/<rect class="(\w+)" x="([\d.]+)" y="(?!42")[\d.]+" width="([\d.]+)"/g);
  return [...rects].map(([, kind = '', x, width]) => ({ kind, from: Number(x), to: Number(x) + Number(width) }));
}

test('a waterfall has each bar at its time, and no stage reaches beyond its segment', () => {
  const segments = [segment(0, 1, 1000), segment(1, 0, 700), segment(2, 0, 5000)];
  const svg = drawWaterfall({ record: RECORD, segments, endedAtMs: T0 + 10_000 });
  const bars = barsOf(svg);
  const pixelsASecond = (1200 - 176 - 24) / 10;
  const secondsOf = (x: number) => (x - 176) / pixelsASecond;
  const near = (actual: number, expected: number) => assert.ok(Math.abs(actual - expected) < 0.01, `${actual}`);
  const whole = bars.filter(({ kind }) => kind === 'rest');
  // By GPU, then in time.
  for (const [at, began] of [0.7, 5, 1].entries()) {
    near(secondsOf(whole[at]?.from ?? 0), began);
    near(secondsOf(whole[at]?.to ?? 0), began + 2);
  }
  const encodes = bars.filter(({ kind }) => kind === 'encode');
  for (const [at, { to }] of encodes.entries()) near(to, whole[at]?.to ?? 0);
  near(secondsOf(bars.at(-1)?.from ?? 0), 9);
  near(secondsOf(bars.at(-1)?.to ?? 0), 10);
  assert.match(svg, /GPU 0 · segment 2: frames 200 to 299, attempt 3 2\.0 s/);
});

test('segments of workers that do not say when they began follow each other on their GPU', () => {
  const segments = [segment(0, 0, undefined), segment(1, 0, undefined)];
  const whole = barsOf(drawWaterfall({ record: RECORD, segments, endedAtMs: T0 + 10_000 })).filter(
    ({ kind }) => kind === 'rest',
  );
  assert.deepEqual(
    whole.map(({ from }) => Math.round((from - 176) / 10)),
    [7, 27],
  );
});

test('a long render has a row for each GPU, and stays a small file', () => {
  const segments = Array.from({ length: 900 }, (_, index) =>
    segment(index, index % 3, 700 + 2000 * Math.floor(index / 3)),
  );
  const svg = drawWaterfall({ record: { ...RECORD, stitchingAtMs: T0 + 601_000 }, segments, endedAtMs: T0 + 602_000 });
  assert.ok(svg.length < 600_000, `${svg.length} characters`);
  assert.deepEqual([...svg.matchAll(/GPU \d · 300 segments</g)].length, 3);
});

test('a drawing can be read aloud, follows the page, and takes any name', () => {
  const opening = Array.from({ length: 5000 }, (_, at) => Math.round(500 + 400 * Math.sin(at)));
  const levels = Float64Array.from(opening, (_, at) => 0.1 + 0.1 * Math.sin(at - 2));
  const flat = opening.map(() => 1);
  const quality = assess({ opening, seam: flat, background: flat }, levels);
  const svg = drawWaveform({ renderId: 'r1', modelId: '<a & "b">', levels, opening, quality });
  assert.match(svg, /role="img" aria-labelledby="title description"/);
  assert.match(svg, /<title id="title">[^<]*&lt;a &amp; &quot;b&quot;&gt;<\/title>/);
  assert.match(svg, /<desc id="description">[^<]*2 frames early/);
  assert.match(svg, /prefers-color-scheme:dark/);
  assert.ok(svg.length < 120_000 && !/NaN|undefined|Infinity/.test(svg), `${svg.length} characters`);
});

test('a render of one frame and no sound can be drawn', () => {
  const quality = assess({ opening: [0], seam: [0], background: [0] }, new Float64Array(1));
  const waveform = drawWaveform({ renderId: 'r1', modelId: 'm', levels: new Float64Array(1), opening: [0], quality });
  const { stitchingAtMs: _, ...record } = RECORD;
  const waterfall = drawWaterfall({ record, segments: [segment(0, 0, 0)], endedAtMs: T0 });
  for (const svg of [waveform, waterfall]) assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});

test('a contact sheet has its frames in order, at most twelve, and never one for less than a second', async (t) => {
  assert.deepEqual(sheetFrames({ start: 0, end: 1 }), [0]);
  assert.deepEqual(sheetFrames({ start: 100, end: 160 }), [115, 145]);
  const many = sheetFrames({ start: 0, end: 90_000 });
  assert.deepEqual([many.length, many[0], many.at(-1)], [12, 3750, 86_250]);
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-sheet-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const frames = await Promise.all(
    [30, 120, 210, 90, 150].map(async (level, place) => {
      const file = path.join(folder, `${place}.jpg`);
      const background = { r: level, g: level, b: level };
      await sharp({ create: { width: 90, height: 160, channels: 3, background } })
        .jpeg()
        .toFile(file);
      return { place, path: file };
    }),
  );
  const sheet = sharp(await contactSheet(frames, { width: 90, height: 160 }));
  const { data, info } = await sheet.raw().toBuffer({ resolveWithObject: true });
  const [tileWidth, tileHeight, gap, caption] = [320, 569, 8, 26];
  assert.deepEqual([info.width, info.height], [4 * (tileWidth + gap) + gap, 2 * (tileHeight + caption + gap) + gap]);
  const levels = frames.map((_, place) => {
    const x = gap + (place % 4) * (tileWidth + gap) + 160;
    const y = gap + Math.floor(place / 4) * (tileHeight + caption + gap) + 300;
    return data[(y * info.width + x) * 3] as number;
  });
  for (const [place, level] of [30, 120, 210, 90, 150].entries()) assert.ok(Math.abs((levels[place] ?? 0) - level) < 4);
  const captionAt = (gap + tileHeight) * info.width * 3;
  assert.ok(Math.max(...data.subarray(captionAt, captionAt + caption * info.width * 3)) > 180, 'times are written');
});
