import assert from 'node:assert/strict';
import { test } from 'node:test';
import { samplesUntilReady } from '../../api/live/audio-context.ts';
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import { PieceOfSound } from '../../worker/engine/live-inputs.ts';
import { StreamFeatures } from '../../worker/engine/stream-features.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AvatarFrames,
  WINDOW_FLOATS,
} from '../../worker/pipeline/contract.ts';
import type { GivenInputs, RenderFramesRequest } from '../../worker/pipeline/frame-request.ts';
import { renderFrames } from '../../worker/pipeline/render-frames.ts';
import type { FeatureMemory } from '../../worker/pipeline/sliding-features.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { FloatNetwork } from '../pipeline/float-network.ts';

const SIZE = 160;
const VISUAL_FLOATS = 6 * SIZE * SIZE;
const NEVER = new AbortController().signal;

/** Every feature of a window is its first mel value plus 10, never 0. */
class PlainEncoder implements AudioEncoder {
  readonly counts: number[] = [];

  async encode(windows: Float32Array, count: number): Promise<Float32Array> {
    this.counts.push(count);
    return Float32Array.from(
      { length: count * FEATURE_SIZE },
      (_, i) => 10 + (windows[Math.floor(i / FEATURE_SIZE) * WINDOW_FLOATS] as number),
    );
  }
}

/** Remembers what it was given; its pictures are grey. */
class RecordingNetwork extends FloatNetwork {
  readonly size = SIZE;
  readonly framesPerRun = 32;
  readonly counts: number[] = [];
  readonly audioInput: Float32Array[] = [];
  readonly visualInput: Float32Array[] = [];

  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    this.counts.push(count);
    for (let i = 0; i < count; i++) {
      this.audioInput.push(audio.slice(i * AUDIO_INPUT_FLOATS, (i + 1) * AUDIO_INPUT_FLOATS));
      this.visualInput.push(visual.slice(i * VISUAL_FLOATS, (i + 1) * VISUAL_FLOATS));
    }
    return new Float32Array(count * 3 * SIZE * SIZE).fill(0.5);
  }
}

const AVATAR: AvatarFrames = {
  frameCount: 5,
  width: 64,
  height: 48,
  rect: () => ({ x1: 8, y1: 8, x2: 40, y2: 40 }),
  background: async () => ({ width: 64, height: 48, data: new Uint8Array(64 * 48 * 3) }),
};

const SECOND = Float32Array.from({ length: 16_000 }, (_, n) => Math.sin(n * 0.05) * Math.sin(n * 0.0007));

async function run(
  changes: Partial<RenderFramesRequest>,
  given: GivenInputs = {},
  sampleCount = SECOND.length,
  memory?: FeatureMemory,
) {
  const encoder = new PlainEncoder();
  const network = new RecordingNetwork();
  const audio = new PieceOfSound(SECOND.subarray(0, sampleCount), 0, sampleCount);
  const frames = { start: 5, end: 12 };
  const request = { frames, startFrameIndex: 0, totalFrames: 12, batchFrames: 4, encoderBatchWindows: 8, ...changes };
  const indices: number[] = [];
  const parts = { audio, encoder, network, avatar: AVATAR, given, memory };
  for await (const { frameIndex } of renderFrames({ grid: 'request', ...request }, parts, NEVER, noTimings())) {
    indices.push(frameIndex);
  }
  return { encoder, network, indices };
}

/** Which of the 16 rows of an audio input are not zero. */
const rowsHeard = (input: Float32Array) =>
  Array.from({ length: 16 }, (_, row) => Number(input[row * FEATURE_SIZE] !== 0)).join('');

test('batches begin with the request, and the encoder runs once over what it needs', async () => {
  const { encoder, network, indices } = await run({});
  assert.deepEqual(indices, [5, 6, 7, 8, 9, 10, 11]);
  assert.deepEqual(network.counts, [4, 3]);
  // Rows 0 … 18 are windows 0 … 17.
  assert.deepEqual(encoder.counts, [18]);
});

test('frames hear the same on either grid', async () => {
  const [request, sound] = [await run({}), await run({ grid: 'sound', totalFrames: 25 })];
  // On the grid of the sound the batches are 4 … 7 and 8 … 11: frame 4 was not asked for.
  assert.deepEqual(request.network.audioInput, sound.network.audioInput.slice(1));
});

test('rows further ahead than asked for are silent, in every frame of a batch', async () => {
  for (const rowsAhead of [0, 2, 7]) {
    const { network } = await run({ rowsAhead, frames: { start: 8, end: 12 } });
    for (const input of network.audioInput) assert.equal(rowsHeard(input), '1'.repeat(9 + rowsAhead).padEnd(16, '0'));
  }
});

test('windows that a stream has heard before are not encoded again, and sound the same', async () => {
  const memory = new StreamFeatures().of('stream');
  const counts: number[][] = [];
  // A stream: more is known of its sound at each request, and the last one knows its end.
  for (const [start, end] of [
    [0, 4],
    [4, 5],
    [5, 9],
    [9, 25],
  ] as const) {
    const frames = { start, end };
    const sampleCount = end === 25 ? SECOND.length : samplesUntilReady(end - 1, { rowsAhead: 7 });
    const remembering = await run({ frames, totalFrames: 25 }, {}, sampleCount, memory);
    const fresh = await run({ frames, totalFrames: 25 });
    assert.deepEqual(remembering.network.audioInput, fresh.network.audioInput);
    counts.push(remembering.encoder.counts);
  }
  assert.deepEqual(counts, [[10], [1], [4], [7]]);
});

test('no sound is needed for rows that are not heard', async () => {
  const frames = { start: 8, end: 10 };
  const [enough, all] = [
    await run({ rowsAhead: 2, frames }, {}, samplesUntilReady(9, { rowsAhead: 2 })),
    await run({ rowsAhead: 2, frames }),
  ];
  assert.deepEqual(enough.network.audioInput, all.network.audioInput);
});

const given = (floats: Float32Array, count: number) => ({
  ...{ size: 160 as const, count },
  at: (place: number) => floats.subarray(place * VISUAL_FLOATS, (place + 1) * VISUAL_FLOATS),
});

test('given inputs are what the network gets, and no sound is read for them', async () => {
  const audioInput = Float32Array.from({ length: AUDIO_INPUT_FLOATS }, (_, i) => i);
  const visualInput = Float32Array.from({ length: 7 * VISUAL_FLOATS }, (_, i) => i);
  const { encoder, network } = await run({}, { audioInput, visualInputs: given(visualInput, 7) }, 0);
  assert.deepEqual(encoder.counts, []);
  for (const [place, input] of network.visualInput.entries()) {
    assert.deepEqual(input, visualInput.slice(place * VISUAL_FLOATS, (place + 1) * VISUAL_FLOATS));
    assert.deepEqual(network.audioInput[place], audioInput);
  }
});

test('given inputs of another size, or on the grid of the sound, are refused', async () => {
  const audioInput = new Float32Array(AUDIO_INPUT_FLOATS);
  const refusal = { code: 'request_invalid', message: /Given inputs must be 8192 floats and 7 visual inputs of 160²/ };
  await assert.rejects(run({}, { audioInput: audioInput.subarray(1) }), refusal);
  await assert.rejects(run({}, { visualInputs: given(new Float32Array(VISUAL_FLOATS), 1) }), refusal);
  await assert.rejects(run({ grid: 'sound' }, { audioInput }), refusal);
});

test('whoever takes turns at the network holds it until its pictures are used up', async () => {
  const log: string[] = [];
  const network = new RecordingNetwork();
  const inTurn = async <T>(work: () => Promise<T>) => {
    log.push('(');
    const result = await work();
    log.push(')');
    return result;
  };
  const parts = { audio: new PieceOfSound(SECOND, 0, SECOND.length), encoder: new PlainEncoder(), network, inTurn };
  const request = { frames: { start: 0, end: 5 }, startFrameIndex: 0, totalFrames: 5, batchFrames: 2 };
  const frames = renderFrames({ ...request, encoderBatchWindows: 8 }, { ...parts, avatar: AVATAR }, NEVER, noTimings());
  for await (const { frameIndex } of frames) log.push(String(frameIndex));
  assert.equal(log.join(''), '()01()23()4');
});

test('a piece of sound gives what it has, and names both ranges for what it has not', async () => {
  const piece = new PieceOfSound(SECOND.subarray(100, 300), 100, 16_000);
  assert.deepEqual(await piece.read({ start: 120, end: 300 }), SECOND.subarray(120, 300));
  assert.equal((await piece.read({ start: 0, end: 0 })).length, 0);
  await assert.rejects(piece.read({ start: 99, end: 120 }), { code: 'internal', message: /\[99, 120\).*\[100, 300\)/ });
  await assert.rejects(piece.read({ start: 120, end: 301 }), { code: 'internal' });
});
