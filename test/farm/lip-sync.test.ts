import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import sharp from 'sharp';
import { mouthOpenArea } from '../../avatars/demo/mouth-area.ts';
import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { type FrameRate, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { decodeFrames, inspectVideo } from '../support/ffprobe.ts';
import { syllables, writeWav } from '../support/sound.ts';

const WIDTH = 1280;
const HEIGHT = 720;
const SECONDS = 3.2;
const MAX_LAG_FRAMES = 5;

describe("the demo avatar's mouth, measured on the finished video", () => {
  let farm: TestFarm;
  const samples = syllables(SECONDS);
  let areas: readonly number[];
  before(async () => {
    farm = await startFarm();
    areas = await mouthAreas(farm, samples);
  });
  after(async () => await farm[Symbol.asyncDispose]());

  it("follows the voice's loudness, without lag", () => expectInStep(samples, areas, 25));

  it('does so at 20 frames a second, to the end: each frame shows what that of its moment shows at 25', async () => {
    const slow = await mouthAreas(farm, samples, 20);
    const { video, videoTimes } = await inspectVideo(path.join(farm.folder, 'speech.mp4'));
    assert.equal(video.avg_frame_rate, '20/1');
    assert.ok(Math.abs(Number(video.duration) - SECONDS) <= 0.025, `${video.duration} s`);
    assert.deepEqual(
      videoTimes.map((time) => Math.round(1000 * time)),
      slow.map((_, frame) => 50 * frame),
    );
    expectInStep(samples, slow, 20);
    const speaking = Math.max(...areas);
    const off = slow.map((area, frame) => Math.abs(area - (areas[Math.floor(frame * 1.25)] ?? 0)));
    assert.ok(Math.max(...off) < 0.05 * speaking, `off by ${Math.max(...off)}, open mouth ${speaking}`);
  });

  it('stays as closed in silence as the avatar was drawn', async () => {
    const silent = await mouthAreas(farm, new Float32Array(8000));
    const drawn = await Promise.all(silent.map((_, index) => drawnMouthArea(index)));
    const speaking = Math.max(...areas);
    const off = silent.map((area, index) => Math.abs(area - (drawn[index] ?? 0)));
    assert.ok(Math.max(...off) < 0.05 * speaking, `off by ${Math.max(...off)}, open mouth ${speaking}`);
  });
});

/** Expects the mouth to follow the voice in the whole video, and in its last third. */
function expectInStep(samples: Float32Array, areas: readonly number[], rate: FrameRate): void {
  const loudness = areas.map((_, frame) => rms(samples, frame * samplesPerFrame(rate), samplesPerFrame(rate)));
  for (const from of [0, Math.floor((2 * areas.length) / 3)]) {
    const correlations = Array.from({ length: 2 * MAX_LAG_FRAMES + 1 }, (_, index) =>
      correlation(loudness.slice(from), areas.slice(from), index - MAX_LAG_FRAMES),
    );
    const best = Math.max(...correlations);
    const lag = correlations.indexOf(best) - MAX_LAG_FRAMES;
    assert.ok(best >= 0.7, `correlation ${best.toFixed(3)} from frame ${from}`);
    assert.ok(Math.abs(lag) <= 1, `lag ${lag} frames from frame ${from}`);
  }
}

/** Area that counts as open in the avatar's own picture, whose mouth is closed: the line between the lips. */
async function drawnMouthArea(index: number): Promise<number> {
  const [file] = (await readdir(DEMO_MODEL.background_dir)).sort().slice(index);
  const data = await sharp(path.join(DEMO_MODEL.background_dir, file ?? ''))
    .removeAlpha()
    .raw()
    .toBuffer();
  return mouthOpenArea({ data, width: WIDTH, height: HEIGHT }, await rectOf(index));
}

/** Open area of the mouth in each frame of the rendered and decoded video. */
async function mouthAreas({ client, folder }: TestFarm, samples: Float32Array, fps: FrameRate = 25): Promise<number[]> {
  const speech = path.join(folder, 'speech.wav');
  const file = path.join(folder, 'speech.mp4');
  await writeWav(speech, samples);
  const { id } = await client.submit(speech, { fps });
  await client.finished(id);
  await client.saveVideo(id, file);
  const frames = await decodeFrames(file, WIDTH, HEIGHT);
  return await Promise.all(
    frames.map(async (data, index) => {
      const rect = await rectOf(rowOfFrame(index, 'ave', fps));
      return mouthOpenArea({ data, width: WIDTH, height: HEIGHT }, rect);
    }),
  );
}

/** Crop rect of the background that a video of 25 frames a second has at this frame. */
async function rectOf(frame: number): Promise<Rect> {
  const rects = JSON.parse(await readFile(DEMO_MODEL.crop_rects_path, 'utf8')) as [number, number, number, number][];
  const [x1, y1, x2, y2] = rects[pingPong(frame, rects.length)] ?? [0, 0, 0, 0];
  return { x1, y1, x2, y2 };
}

function pingPong(position: number, count: number): number {
  const phase = position % (2 * count - 2);
  return phase < count ? phase : 2 * count - 2 - phase;
}

function rms(samples: Float32Array, start: number, count: number): number {
  const piece = samples.subarray(start, start + count);
  return Math.sqrt(piece.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, piece.length));
}

/** Pearson's r of a[i] and b[i + lag]. */
function correlation(a: readonly number[], b: readonly number[], lag: number): number {
  const pairs = a.flatMap((value, index) => {
    const other = b[index + lag];
    return other === undefined ? [] : [[value, other] as const];
  });
  const mean = (pick: 0 | 1) => pairs.reduce((sum, pair) => sum + pair[pick], 0) / pairs.length;
  const [meanA, meanB] = [mean(0), mean(1)];
  const sum = (term: (x: number, y: number) => number) =>
    pairs.reduce((total, [x, y]) => total + term(x - meanA, y - meanB), 0);
  return sum((x, y) => x * y) / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y));
}
