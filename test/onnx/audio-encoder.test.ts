import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import { OnnxAudioEncoder } from '../../worker/onnx/audio-encoder.ts';
import { WINDOW_FLOATS } from '../../worker/pipeline/contract.ts';
import { openWorkspace } from '../models/workspace.ts';
import { type TinyEncoderOptions, tinyEncoder } from './tiny-onnx.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };

async function openEncoder(t: TestContext, options: TinyEncoderOptions): Promise<OnnxAudioEncoder> {
  const workspace = await openWorkspace(t);
  const encoder = await OnnxAudioEncoder.open(await workspace.write('encoder.onnx', tinyEncoder(options)), SETTINGS);
  t.after(() => encoder.release());
  return encoder;
}

/** Windows whose values are all their index. */
function numberedWindows(count: number): Float32Array {
  return Float32Array.from({ length: count * WINDOW_FLOATS }, (_, index) => Math.floor(index / WINDOW_FLOATS));
}

for (const batch of ['batch', 1, 4] as const) {
  test(`every window gets its own features in order, with batch axis ${batch}`, async (t) => {
    const encoder = await openEncoder(t, { batch });
    const count = 70;
    const features = await encoder.encode(numberedWindows(count), count);
    assert.equal(features.length, count * FEATURE_SIZE);
    for (const [index, value] of features.entries()) assert.equal(value, Math.floor(index / FEATURE_SIZE));
  });
}

test('the features of one call outlive the next', async (t) => {
  const encoder = await openEncoder(t, {});
  const [first, second] = await Promise.all([
    encoder.encode(numberedWindows(2), 2),
    encoder.encode(new Float32Array(2 * WINDOW_FLOATS).fill(9), 2),
  ]);
  assert.equal(first[FEATURE_SIZE], 1);
  assert.equal(second[FEATURE_SIZE], 9);
});

test('no windows give no features', async (t) => {
  const encoder = await openEncoder(t, {});
  assert.equal((await encoder.encode(new Float32Array(), 0)).length, 0);
});

test('windows of another length are refused with both lengths', async (t) => {
  const encoder = await openEncoder(t, {});
  await assert.rejects(encoder.encode(new Float32Array(100), 1), {
    code: 'inference_failed',
    message: /mel_spectrogram has 100 floats, expected 1 × 1280/,
  });
});

test('a released encoder fails, and can be released again', async (t) => {
  const encoder = await openEncoder(t, {});
  await encoder.release();
  await encoder.release();
  await assert.rejects(encoder.encode(numberedWindows(1), 1), { code: 'inference_failed', message: /released/ });
});

const MISFITS: [string, TinyEncoderOptions, RegExp][] = [
  ['another input name', { inputName: 'mel' }, /no input "mel_spectrogram".*found mel float32 \[batch, 1, 80, 16\]/],
  ['another feature size', { featureSize: 256 }, /axis 1 of output "audio_features" is 256 instead of 512/],
  ['a further input', { speakerInput: true }, /input "speaker" is unknown/],
];
for (const [what, options, message] of MISFITS) {
  test(`an encoder with ${what} is refused with what was found and expected`, async (t) => {
    await assert.rejects(openEncoder(t, options), { code: 'model_unusable', message });
    await assert.rejects(openEncoder(t, options), { message: /encoder\.onnx .*expected mel_spectrogram float32/ });
  });
}
