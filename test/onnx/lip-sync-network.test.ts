import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import { AUDIO_INPUT_FLOATS } from '../../worker/pipeline/contract.ts';
import { openWorkspace } from '../models/workspace.ts';
import { brokenNetwork, moodyNetwork, tinyEncoder, tinyNetwork } from './tiny-onnx.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };

async function openNetwork(t: TestContext, bytes: Uint8Array, providers = ['cpu']): Promise<OnnxLipSyncNetwork> {
  const workspace = await openWorkspace(t);
  const path = await workspace.write('network.onnx', bytes);
  const network = await OnnxLipSyncNetwork.open(path, { ...SETTINGS, providers });
  t.after(() => network.release());
  return network;
}

/** Frames whose visual values are all their index, with silent audio inputs. */
function numberedFrames(count: number, size: number): [visual: Float32Array, audio: Float32Array, count: number] {
  const floats = 6 * size * size;
  const visual = Float32Array.from({ length: count * floats }, (_, index) => Math.floor(index / floats));
  return [visual, new Float32Array(count * AUDIO_INPUT_FLOATS), count];
}

for (const batch of ['batch', 1, 4] as const) {
  test(`every frame gets its own picture in order, with batch axis ${batch}`, async (t) => {
    const network = await openNetwork(t, tinyNetwork({ batch }));
    for (const count of [6, 4, 1, 7]) {
      const output = await network.generate(...numberedFrames(count, 160));
      const floats = 3 * 160 * 160;
      assert.equal(output.length, count * floats);
      for (let frame = 0; frame < count; frame += 1) {
        const picture = output.subarray(frame * floats, (frame + 1) * floats);
        assert.ok(
          picture.every((value) => value === frame),
          `frame ${frame} of ${count}`,
        );
      }
    }
  });
}

test('the audio input reaches the picture of its own frame', async (t) => {
  const network = await openNetwork(t, tinyNetwork());
  const audio = new Float32Array(2 * AUDIO_INPUT_FLOATS).fill(0.5, AUDIO_INPUT_FLOATS);
  const output = await network.generate(new Float32Array(2 * 6 * 160 * 160), audio, 2);
  assert.deepEqual([output[0], output[3 * 160 * 160]], [0, 0.5]);
});

test('the size is read from the model', async (t) => {
  assert.equal((await openNetwork(t, tinyNetwork({ size: 160 }))).size, 160);
  assert.equal((await openNetwork(t, tinyNetwork({ size: 320 }))).size, 320);
});

test('a call before the last has ended is refused, and the one after works', async (t) => {
  const network = await openNetwork(t, tinyNetwork());
  const first = network.generate(...numberedFrames(1, 160));
  await assert.rejects(network.generate(...numberedFrames(1, 160)), { code: 'internal' });
  await first;
  await network.generate(...numberedFrames(1, 160));
});

test('a run that fails names the file and the provider', async (t) => {
  const network = await openNetwork(t, moodyNetwork(3));
  const [visual, audio, count] = numberedFrames(1, 160);
  await assert.rejects(network.generate(visual, audio.fill(1), count), {
    code: 'inference_failed',
    message: /network\.onnx on cpu, 1 items/,
  });
});

const MISFITS: [string, Uint8Array, RegExp][] = [
  ['another size', tinyNetwork({ size: 256 }), /the size S is 256 instead of 160 or 320/],
  ['no size at all', tinyNetwork({ size: 'S' }), /the size S is fixed nowhere in the model/],
  ['four channels', tinyNetwork({ channels: 4 }), /axis 1 of output "output" is 4 instead of 3/],
  [
    'two channels that show only in a run',
    moodyNetwork(2),
    /gave output \[1, 2, 160, 160\] instead of \[1, 3, 160, 160\]/,
  ],
  ['a graph that cannot run', brokenNetwork(), /ONNX Runtime refuses it: .*cannot be reshaped/s],
  ['the tensors of an encoder', tinyEncoder(), /there is no input "input".*found mel_spectrogram/],
  ['text in it', new TextEncoder().encode('not a model'), /Protobuf parsing failed/],
  ['nothing in it', new Uint8Array(), /ONNX Runtime refuses it/],
  ['its second half missing', tinyNetwork().subarray(0, 200), /Protobuf parsing failed/],
];
for (const [what, bytes, message] of MISFITS) {
  test(`a file with ${what} is refused with its path and what is expected`, async (t) => {
    await assert.rejects(openNetwork(t, bytes), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'model_unusable');
      assert.match(error.message, message);
      assert.match(error.message, /network\.onnx .*expected input float32 \[batch, 6, S, S\]/s);
      return true;
    });
  });
}

test('a missing file is refused with its path', async () => {
  await assert.rejects(OnnxLipSyncNetwork.open('/nowhere/network.onnx', SETTINGS), {
    code: 'model_unusable',
    message: /lip-sync network cannot be read: .*\/nowhere\/network\.onnx/,
  });
});

test('the next provider takes over, and the report says why', async (t) => {
  const { provider } = await openNetwork(t, tinyNetwork(), ['abacus', 'cpu']);
  assert.equal(provider.provider, 'cpu');
  assert.match(provider.passedOver[0]?.reason ?? '', /offers/);
});

test('a sound model without a working provider is a missing dependency, a damaged one is not', async (t) => {
  await assert.rejects(openNetwork(t, tinyNetwork(), ['abacus']), { code: 'dependency_missing', message: /abacus: / });
  await assert.rejects(openNetwork(t, new Uint8Array([1]), ['abacus']), { code: 'model_unusable' });
});
