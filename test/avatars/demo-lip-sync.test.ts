import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { encoderGraph } from '../../avatars/demo/encoder-model.ts';
import { generatorGraph } from '../../avatars/demo/generator-model.ts';
import { mouthOpenArea } from '../../avatars/demo/mouth-area.ts';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { backgroundIndex } from '../../worker/pipeline/background.ts';
import { renderFrames } from '../../worker/pipeline/render-frames.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { openDemoAvatar } from './demo-avatar.ts';
import { openGraph, SessionEncoder, SessionNetwork } from './models.ts';

const SAMPLE_RATE_HZ = 16_000;
const SAMPLES_PER_FRAME = 640;
/** Of the sample speech: some words and the pauses between them. */
const SECONDS = 3.8;
const WAV_HEADER_BYTES = 44;

test("the mouth's opening follows the sample speech, frame by frame and without lag", async () => {
  const speech = await readSpeech(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
  const samples = speech.subarray(0, SECONDS * SAMPLE_RATE_HZ);
  const avatar = await openDemoAvatar();
  const frames = frameCount(samples.length);
  const areas: number[] = [];
  const rendered = renderFrames(
    {
      frames: { start: 0, end: frames },
      startFrameIndex: 0,
      totalFrames: frames,
      batchFrames: 4,
      encoderBatchWindows: 64,
    },
    {
      audio: {
        sampleCount: samples.length,
        read: ({ start, end }) => Promise.resolve(samples.slice(start, end)),
      },
      encoder: new SessionEncoder(await openGraph(encoderGraph())),
      network: new SessionNetwork(await openGraph(generatorGraph()), 320),
      avatar,
    },
    new AbortController().signal,
    noTimings(),
  );
  for await (const { frameIndex, image } of rendered) {
    areas.push(mouthOpenArea(image, avatar.rect(backgroundIndex(frameIndex, avatar.frameCount))));
  }
  const levels = Array.from({ length: frames }, (_, frame) => levelOf(samples, frame));
  const byLag = [-2, -1, 0, 1, 2].map((lag) => ({ lag, correlation: correlation(levels, areas, lag) }));
  const best = byLag.reduce((a, b) => (b.correlation > a.correlation ? b : a));
  assert.equal(best.lag, 0);
  assert.ok(best.correlation > 0.88, `correlation ${best.correlation}`);

  const silent = areas.filter((_, frame) => [-1, 0, 1].every((near) => (levels[frame + near] ?? 0) < 0.001));
  assert.ok(silent.length >= 15 && Math.max(...silent) < 200, `silent frames: ${silent.map(Math.round)}`);
});

async function readSpeech(path: URL): Promise<Float32Array> {
  const bytes = await readFile(path);
  const count = Math.floor((bytes.length - WAV_HEADER_BYTES) / 2);
  return Float32Array.from({ length: count }, (_, index) => bytes.readInt16LE(WAV_HEADER_BYTES + 2 * index) / 32_768);
}

/** Root mean square of a frame's sound. */
function levelOf(samples: Float32Array, frame: number): number {
  const own = samples.subarray(frame * SAMPLES_PER_FRAME, (frame + 1) * SAMPLES_PER_FRAME);
  return Math.sqrt(own.reduce((sum, sample) => sum + sample * sample, 0) / SAMPLES_PER_FRAME);
}

/** Pearson's, of levels with the areas `lag` frames later. */
function correlation(levels: readonly number[], areas: readonly number[], lag: number): number {
  const pairs = levels.flatMap((level, frame) => {
    const area = areas[frame + lag];
    return area === undefined ? [] : [[level, area] as const];
  });
  const meanOf = (side: 0 | 1) => pairs.reduce((sum, pair) => sum + pair[side], 0) / pairs.length;
  const [meanLevel, meanArea] = [meanOf(0), meanOf(1)];
  let both = 0;
  let level = 0;
  let area = 0;
  for (const [a, b] of pairs) {
    both += (a - meanLevel) * (b - meanArea);
    level += (a - meanLevel) ** 2;
    area += (b - meanArea) ** 2;
  }
  return both / Math.sqrt(level * area);
}
