import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { InferenceSession } from 'onnxruntime-node';
import { encoderGraph } from '../../avatars/demo/encoder-model.ts';
import { generatorGraph } from '../../avatars/demo/generator-model.ts';
import { mouthOpenArea } from '../../avatars/demo/mouth-area.ts';
import { compositeFrame } from '../../worker/pipeline/composite.ts';
import { type AvatarFrames, mouthBytes } from '../../worker/pipeline/contract.ts';
import { writeMouth } from '../../worker/pipeline/mouth.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { openDemoAvatar } from './demo-avatar.ts';
import { openGraph, SessionEncoder, SessionNetwork, shapesOf, steadyAudio, steadyMel, visualInput } from './models.ts';

const PICTURE_FLOATS = 3 * 320 * 320;
/** 2 of 255. */
const INVISIBLE = 2 / 255;

let avatar: AvatarFrames;
let encoderSession: InferenceSession;
let generatorSession: InferenceSession;
let encoder: SessionEncoder;
let generator: SessionNetwork;

before(async () => {
  avatar = await openDemoAvatar();
  encoderSession = await openGraph(encoderGraph());
  generatorSession = await openGraph(generatorGraph());
  encoder = new SessionEncoder(encoderSession);
  generator = new SessionNetwork(generatorSession, 320);
});

test('the models have the tensors of the contract, with a free batch axis', () => {
  assert.deepEqual(shapesOf(encoderSession.inputMetadata), { mel_spectrogram: ['float32', 'batch', 1, 80, 16] });
  assert.deepEqual(shapesOf(encoderSession.outputMetadata), { audio_features: ['float32', 'batch', 512] });
  assert.deepEqual(shapesOf(generatorSession.inputMetadata), {
    input: ['float32', 'batch', 6, 320, 320],
    audio: ['float32', 'batch', 32, 16, 16],
  });
  assert.deepEqual(shapesOf(generatorSession.outputMetadata), { output: ['float32', 'batch', 3, 320, 320] });
});

test('silence has zero features', async () => {
  const features = await encoder.encode(steadyMel(0), 1);
  assert.ok(features.every((value) => value === 0));
});

test('zero rows and silence give the picture back', async () => {
  const visual = await visualInput(avatar, 0);
  for (const features of [new Float32Array(512), await encoder.encode(steadyMel(0), 1)]) {
    const output = await generator.generate(visual, steadyAudio(features), 1);
    assert.ok(largestChange(output, visual) <= INVISIBLE);
  }
});

test('beside the mouth and the jaw a speaking picture is the picture', async () => {
  const visual = await visualInput(avatar, 0);
  const output = await generator.generate(visual, await voice(0.6), 1);
  for (let index = 0; index < PICTURE_FLOATS; index++) {
    const x = index % 320;
    const y = Math.floor(index / 320) % 320;
    if (x >= 36 && x < 284 && y >= 80 && y < 308) continue;
    assert.equal(output[index], visual[index]);
  }
});

test('the moving area meets the rest of the picture without a seam', async () => {
  const visual = await visualInput(avatar, 0);
  const output = await generator.generate(visual, await voice(0.6), 1);
  for (let index = 0; index < PICTURE_FLOATS; index++) {
    const x = index % 320;
    const y = Math.floor(index / 320) % 320;
    const onBorder = x === 36 || x === 283 || y === 80 || y === 307;
    if (onBorder) assert.ok(Math.abs((output[index] as number) - (visual[index] as number)) <= INVISIBLE, `${x},${y}`);
  }
});

test('a louder voice opens the mouth wider', async () => {
  const areas: number[] = [];
  for (const level of [0, 0.3, 0.36, 0.42, 0.48, 0.54, 0.6]) areas.push(await openArea(await voice(level)));
  for (let step = 1; step < areas.length; step++) {
    assert.ok((areas[step] as number) > (areas[step - 1] as number), `areas ${areas.map(Math.round)}`);
  }
  assert.ok((areas.at(-1) as number) > 800 && (areas[0] as number) < 200, `areas ${areas.map(Math.round)}`);
});

test('a voice of low tones rounds the mouth, one with high tones widens it', async () => {
  const visual = await visualInput(avatar, 0);
  const round = await generator.generate(visual, await voice(0.5, 22), 1);
  const wide = await generator.generate(visual, await voice(0.5, 70), 1);
  assert.ok(changedColumns(wide, visual) > changedColumns(round, visual) * 1.15);
});

test('the mouth opens where the lips are, not where they should be', async () => {
  const audio = await voice(0.5);
  const here = await darkCentre(await visualInput(avatar, 0), audio);
  const moved = await darkCentre(await visualInput(avatar, 0, { x: 6, y: -4 }), audio);
  const scale = 328 / 224;
  assert.ok(Math.abs(moved.x - here.x + 6 * scale) < 1, `x went from ${here.x} to ${moved.x}`);
  assert.ok(Math.abs(moved.y - here.y - 4 * scale) < 1, `y went from ${here.y} to ${moved.y}`);
});

test('three frames at once give what they give one by one', async () => {
  const visuals = await Promise.all([0, 30, 60].map((index) => visualInput(avatar, index)));
  const audios = await Promise.all([0.3, 0.45, 0.6].map((level) => voice(level)));
  const together = (await generator.generate(joined(visuals), joined(audios), 3)).slice();
  for (let i = 0; i < 3; i++) {
    const alone = await generator.generate(visuals[i] as Float32Array, audios[i] as Float32Array, 1);
    assert.deepEqual(together.subarray(i * PICTURE_FLOATS, (i + 1) * PICTURE_FLOATS), alone);
  }
});

test('three windows at once give what they give one by one', async () => {
  const windows = [0.2, 0.4, 0.6].map((level) => steadyMel(level));
  const together = await encoder.encode(joined(windows), 3);
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(together.slice(i * 512, (i + 1) * 512), await encoder.encode(windows[i] as Float32Array, 1));
  }
});

async function voice(level: number, upToBand?: number): Promise<Float32Array> {
  return steadyAudio(await encoder.encode(steadyMel(level, upToBand), 1));
}

async function openArea(audio: Float32Array): Promise<number> {
  const output = await generator.generate(await visualInput(avatar, 0), audio, 1);
  const crop = makeCrop(320);
  const background = await avatar.background(0);
  cutCrop(background, avatar.rect(0), crop);
  const mouth = new Uint8Array(mouthBytes(320));
  writeMouth(output, 0, 320, mouth);
  return mouthOpenArea(
    compositeFrame(mouth, 320, crop, background, avatar.rect(0), new Uint8Array(background.data.length)),
    avatar.rect(0),
  );
}

function largestChange(output: Float32Array, visual: Float32Array): number {
  return output.reduce((largest, value, index) => Math.max(largest, Math.abs(value - (visual[index] as number))), 0);
}

/** Columns of the mouth's rows in which the open mouth has made a pixel much darker: the gap's width. */
function changedColumns(output: Float32Array, visual: Float32Array): number {
  const columns = new Set<number>();
  for (let y = 140; y < 190; y++) {
    for (let x = 90; x < 230; x++) {
      const red = 2 * 320 * 320 + y * 320 + x;
      if ((visual[red] as number) - (output[red] as number) > 0.3) columns.add(x);
    }
  }
  return columns.size;
}

/** Centre of mass of the pixels that became much darker. */
async function darkCentre(visual: Float32Array, audio: Float32Array): Promise<{ x: number; y: number }> {
  const output = await generator.generate(visual, audio, 1);
  let count = 0;
  let x = 0;
  let y = 0;
  for (let pixel = 0; pixel < 320 * 320; pixel++) {
    const red = 2 * 320 * 320 + pixel;
    if ((visual[red] as number) - (output[red] as number) < 0.3 || pixel >= 220 * 320) continue;
    count++;
    x += pixel % 320;
    y += Math.floor(pixel / 320);
  }
  return { x: x / count, y: y / count };
}

function joined(arrays: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    all.set(array, at);
    at += array.length;
  }
  return all;
}
