import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AudioSource,
  type AvatarFrames,
  type IndexRange,
  type RgbImage,
  WINDOW_FLOATS,
} from '../../worker/pipeline/contract.ts';
import type { RenderFramesRequest } from '../../worker/pipeline/frame-request.ts';
import { computeMel } from '../../worker/pipeline/mel.ts';
import { melOfSound } from '../../worker/pipeline/mel-of-sound.ts';
import { type PlainParts, renderFrames } from '../../worker/pipeline/render-frames.ts';
import { melFrameCount } from '../../worker/pipeline/sound-ranges.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { FloatNetwork } from './float-network.ts';

const SIZE = 160;
const NEVER = new AbortController().signal;

/** A sound in memory that remembers how much of it was read at once. */
class MemorySound implements AudioSource {
  readonly samples: Float32Array;
  largestRead = 0;

  constructor(sampleCount: number) {
    this.samples = Float32Array.from({ length: sampleCount }, (_, n) => Math.sin(n * 0.05) * Math.sin(n * 0.0007));
  }

  get sampleCount(): number {
    return this.samples.length;
  }

  async read(range: IndexRange): Promise<Float32Array> {
    assert.ok(0 <= range.start && range.start <= range.end && range.end <= this.sampleCount);
    this.largestRead = Math.max(this.largestRead, range.end - range.start);
    return this.samples.slice(range.start, range.end);
  }
}

/** A linear projection; like a real network's, its numbers depend a little on what else is in the batch. */
class LinearEncoder implements AudioEncoder {
  readonly counts: number[] = [];

  async encode(windows: Float32Array, count: number): Promise<Float32Array> {
    assert.equal(windows.length, count * WINDOW_FLOATS);
    this.counts.push(count);
    const shared = windows.reduce((sum, value) => sum + value, 0) * 1e-6;
    return Float32Array.from({ length: count * FEATURE_SIZE }, (_, i) => {
      const window = Math.floor(i / FEATURE_SIZE);
      const k = i % FEATURE_SIZE;
      const at = window * WINDOW_FLOATS;
      return shared + (windows[at + ((k * 7) % WINDOW_FLOATS)] as number) - (windows[at + k] as number) * 0.25;
    });
  }
}

/** Shades the face it sees with the mean of what it hears; also sensitive to its whole batch. */
class ShadingNetwork extends FloatNetwork {
  readonly size = SIZE;
  readonly framesPerRun = 32;
  readonly counts: number[] = [];
  readonly #output = new Float32Array(16 * 3 * SIZE * SIZE);

  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    const plane = SIZE * SIZE;
    assert.equal(visual.length, count * 6 * plane);
    assert.equal(audio.length, count * AUDIO_INPUT_FLOATS);
    this.counts.push(count);
    const shared = audio.reduce((sum, value) => sum + value, 0) * 1e-6;
    for (let frame = 0; frame < count; frame++) {
      const heard = audio.subarray(frame * AUDIO_INPUT_FLOATS, (frame + 1) * AUDIO_INPUT_FLOATS);
      const shade = shared + heard.reduce((sum, value, i) => sum + value * ((i % 13) - 6), 0) / AUDIO_INPUT_FLOATS;
      for (let i = 0; i < 3 * plane; i++) {
        this.#output[frame * 3 * plane + i] = (visual[frame * 6 * plane + i] as number) * 0.5 + shade + 0.25;
      }
    }
    return this.#output.subarray(0, count * 3 * plane);
  }
}

class MemoryAvatar implements AvatarFrames {
  readonly frameCount: number;
  readonly width = 96;
  readonly height = 72;
  readonly #pictures: RgbImage[];

  constructor(frameTotal: number) {
    this.frameCount = frameTotal;
    this.#pictures = Array.from({ length: frameTotal }, (_, index) => {
      const data = Uint8Array.from({ length: 96 * 72 * 3 }, (_, i) => (i * (index + 3) + (i >> 7)) % 256);
      return { width: 96, height: 72, data };
    });
  }

  rect(index: number) {
    return { x1: 10 + index, y1: 20, x2: 50 + index, y2: 60 };
  }

  async background(index: number): Promise<RgbImage> {
    return this.#pictures[index] as RgbImage;
  }
}

function makeParts(sampleCount: number) {
  return {
    audio: new MemorySound(sampleCount),
    encoder: new LinearEncoder(),
    network: new ShadingNetwork(),
    avatar: new MemoryAvatar(7),
  };
}

function request(sampleCount: number, frames?: IndexRange): RenderFramesRequest {
  const totalFrames = frameCount(sampleCount);
  return {
    frames: frames ?? { start: 0, end: totalFrames },
    startFrameIndex: 9,
    totalFrames,
    batchFrames: 4,
    encoderBatchWindows: 10,
  };
}

async function render(parts: PlainParts, wanted: RenderFramesRequest): Promise<Map<number, Uint8Array>> {
  const frames = new Map<number, Uint8Array>();
  for await (const { frameIndex, image } of renderFrames(wanted, parts, NEVER, noTimings())) {
    frames.set(frameIndex, image.data);
  }
  return frames;
}

const THREE_SECONDS = 48_000 - 777;

test('a render gives every frame once, in order, and the sound shows in the pictures', async () => {
  const frames = await render(makeParts(THREE_SECONDS), request(THREE_SECONDS));
  assert.deepEqual(
    [...frames.keys()],
    Array.from({ length: 74 }, (_, i) => i),
  );
  // 12 apart: the same background of 7, so what differs is what they hear.
  assert.notDeepEqual(frames.get(20), frames.get(32));
});

test('any cut of a render gives the same bytes as the whole', async () => {
  const whole = await render(makeParts(THREE_SECONDS), request(THREE_SECONDS));
  for (const cuts of [
    [0, 74],
    [0, 1, 2, 3, 74],
    [0, 4, 8, 50, 74],
    [0, 13, 29, 30, 47, 73, 74],
  ]) {
    for (let i = 0; i + 1 < cuts.length; i++) {
      const range = { start: cuts[i] as number, end: cuts[i + 1] as number };
      const part = await render(makeParts(THREE_SECONDS), request(THREE_SECONDS, range));
      assert.equal(part.size, range.end - range.start);
      for (const [frameIndex, data] of part) assert.deepEqual(data, whole.get(frameIndex), `frame ${frameIndex}`);
    }
  }
});

test('batches lie on the grid of the whole sound and are run whole', async () => {
  const parts = makeParts(THREE_SECONDS);
  await render(parts, request(THREE_SECONDS, { start: 30, end: 34 }));
  assert.deepEqual(parts.network.counts, [4, 4]);
  // Frames 28 … 35 hear rows 20 … 42, which are windows 19 … 41: batches 10 … 19 to 40 … 49.
  assert.deepEqual(parts.encoder.counts, [10, 10, 10, 10]);
});

test('the last batches end with the render and with the sound', async () => {
  const parts = makeParts(THREE_SECONDS);
  await render(parts, request(THREE_SECONDS));
  assert.deepEqual(parts.network.counts.slice(-2), [4, 2]);
  assert.equal(
    parts.encoder.counts.reduce((sum, count) => sum + count, 0),
    71,
  );
});

test('a sound is read in pieces, however long it is', async () => {
  const parts = makeParts(16_000 * 20);
  await render(parts, request(16_000 * 20, { start: 300, end: 420 }));
  assert.ok(parts.audio.largestRead < 12_000, `${parts.audio.largestRead} samples at once`);
});

test('a sound of one sample gives one frame, and of 100 ms three', async () => {
  assert.equal((await render(makeParts(1), request(1))).size, 1);
  assert.equal((await render(makeParts(1600), request(1600))).size, 3);
});

test('frames asked for beyond the sound hear silence', async () => {
  const frames = await render(makeParts(1600), { ...request(1600), frames: { start: 0, end: 32 }, totalFrames: 32 });
  assert.equal(frames.size, 32);
  // 12 apart: the same background, and no feature row near either of them.
  assert.deepEqual(frames.get(17), frames.get(29));
});

test('an image stays as it was yielded', async () => {
  const images: RgbImage[] = [];
  const copies: Uint8Array[] = [];
  for await (const { image } of renderFrames(request(8000), makeParts(8000), NEVER, noTimings())) {
    images.push(image);
    copies.push(image.data.slice());
  }
  images.forEach((image, i) => {
    assert.deepEqual(image.data, copies[i]);
  });
});

test('an abort stops a render before its next frame, with the reason of the signal', async () => {
  const controller = new AbortController();
  const parts = makeParts(THREE_SECONDS);
  const reason = new Error('the viewer left');
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const frame of renderFrames(request(THREE_SECONDS), parts, controller.signal, noTimings())) {
      seen.push(frame.frameIndex);
      if (frame.frameIndex === 5) controller.abort(reason);
    }
  }, reason);
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5]);
  assert.equal(parts.network.counts.length, 2);
});

test('a render that was aborted before it began runs nothing', async () => {
  const parts = makeParts(8000);
  const frames = renderFrames(request(8000), parts, AbortSignal.abort(), noTimings());
  await assert.rejects(frames.next(), { name: 'AbortError' });
  assert.equal(parts.encoder.counts.length + parts.network.counts.length, 0);
});

test('every stage adds its time', async () => {
  const timings = noTimings();
  for await (const _ of renderFrames(request(8000), makeParts(8000), NEVER, timings));
  for (const [stage, ms] of Object.entries(timings)) assert.ok(ms > 0, stage);
});

test('a request that cannot be is refused before anything runs', async () => {
  const refused = async (parts: PlainParts, wanted: RenderFramesRequest, code: string) => {
    const isRefusal = (thrown: unknown) => thrown instanceof FarmError && thrown.code === code;
    await assert.rejects(renderFrames(wanted, parts, NEVER, noTimings()).next(), isRefusal);
  };
  await refused(makeParts(0), request(0), 'audio_empty');
  await refused(makeParts(8000), request(8000, { start: 0, end: 14 }), 'request_invalid');
  await refused(makeParts(8000), request(8000, { start: -1, end: 3 }), 'request_invalid');
  await refused(makeParts(8000), { ...request(8000), batchFrames: 0 }, 'request_invalid');
  await refused(makeParts(8000), { ...request(8000), startFrameIndex: 1.5 }, 'request_invalid');
  await refused({ ...makeParts(8000), avatar: new MemoryAvatar(0) }, request(8000), 'model_unusable');
});

test('an empty range runs nothing', async () => {
  const parts = makeParts(8000);
  assert.equal((await render(parts, request(8000, { start: 3, end: 3 }))).size, 0);
  assert.equal(parts.network.counts.length, 0);
});

test('the mel of a sound, piece by piece, is the mel of the whole', async () => {
  const audio = new MemorySound(16_000 * 12 + 123);
  const pieces: number[] = [];
  for await (const piece of melOfSound(audio)) pieces.push(...piece.data);
  const whole = { samples: audio.samples, firstSample: 0, totalSamples: audio.sampleCount };
  const expected = computeMel(whole, { start: 0, end: melFrameCount(audio.sampleCount) });
  assert.deepEqual(Float32Array.from(pieces), expected);
});
