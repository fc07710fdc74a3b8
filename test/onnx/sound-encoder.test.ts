import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import { type OpenEncoder, openEncoder } from '../../worker/onnx/open-encoder.ts';
import { openWorkspace } from '../models/workspace.ts';
import { tinyEncoder, tinyHubert, tinyNetwork, tinyWenet } from './tiny-onnx.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };
const STATE = 1024;

async function open(t: TestContext, kind: AudioKind, bytes: Uint8Array): Promise<OpenEncoder> {
  const workspace = await openWorkspace(t);
  const encoder = await openEncoder(kind, await workspace.write('encoder.onnx', bytes), SETTINGS);
  t.after(() => encoder.release());
  return encoder;
}

for (const mask of [false, true]) {
  test(`HuBERT gives a hidden state every 320 samples${mask ? ', with a mask beside the waveform' : ''}`, async (t) => {
    const encoder = await open(t, 'hubert', tinyHubert({ mask }));
    const states = await encoder.encode(new Float32Array(720).fill(-0.5, 400), 1);
    assert.equal(states.length, 2 * STATE);
    const [first = 0, second = 0] = [states[0], states[STATE]];
    assert.ok(Math.abs(first - 0.1 * ((first + second) / 2.2)) < 1e-2 && second > 0.4, `${first} and ${second}`);
  });
}

test('WeNet gives 16 × 512 features of each chunk of filter banks, whatever else its file takes', async (t) => {
  const encoder = await open(t, 'wenet', tinyWenet());
  const chunks = new Float32Array(2 * 67 * 80).fill(3, 67 * 80);
  const features = await encoder.encode(chunks, 2);
  assert.equal(features.length, 2 * 16 * 512);
  assert.deepEqual([features[0], features[16 * 512 - 1], features[16 * 512]], [0, 0, 3]);
});

test('the encoder of another kind is refused with what was found and what is expected', async (t) => {
  const cases: readonly (readonly [AudioKind, Uint8Array, RegExp])[] = [
    ['hubert', tinyEncoder(), /cannot serve as the HuBERT encoder: no input takes a waveform; found mel_spectrogram/],
    [
      'wenet',
      tinyHubert(),
      /cannot serve as the WeNet encoder: no input takes a chunk.*expected float32 \[1, 1, 67, 80\]/,
    ],
    ['wenet', tinyNetwork(), /no input takes a chunk of filter banks/],
    ['ave', tinyWenet(), /there is no input "mel_spectrogram"/],
  ];
  for (const [kind, bytes, message] of cases) {
    await assert.rejects(open(t, kind, bytes), { code: 'model_unusable', message });
  }
});

test('a released encoder fails', async (t) => {
  const encoder = await open(t, 'hubert', tinyHubert());
  await encoder.release();
  await encoder.release();
  await assert.rejects(encoder.encode(new Float32Array(400), 1), { code: 'inference_failed', message: /released/ });
});
