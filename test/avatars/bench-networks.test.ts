import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { benchEncoder, benchGenerator, type CountedNetwork, TRAINED_SIZE } from '../../avatars/bench/networks.ts';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { openGraph, SessionEncoder, SessionNetwork, shapesOf } from './models.ts';

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual / expected - 1) < 0.05, `${actual} is not within 5 % of ${expected}`);
}

function sha256(network: CountedNetwork): string {
  return createHash('sha256').update(encodeModel(network.graph)).digest('hex');
}

test('the networks weigh what trained ones weigh', () => {
  const [generator, encoder] = [benchGenerator(320), benchEncoder()];
  assertNear(generator.parameters, TRAINED_SIZE.generator.parameters);
  assertNear(generator.multiplyAccumulates, TRAINED_SIZE.generator.multiplyAccumulates);
  assertNear(encoder.parameters, TRAINED_SIZE.encoder.parameters);
  assertNear(encoder.multiplyAccumulates, TRAINED_SIZE.encoder.multiplyAccumulates);
});

test('the parameters counted are the constants in the graph', () => {
  const { graph, parameters } = benchEncoder();
  const floats = graph.constants.filter((constant) => constant.data instanceof Float32Array);
  assert.equal(
    floats.reduce((sum, constant) => sum + constant.data.length, 0),
    parameters,
  );
});

test('two builds have the same weights', () => {
  assert.equal(sha256(benchEncoder()), sha256(benchEncoder()));
});

test('the generator runs at both sizes and gives a picture that is neither flat nor saturated', async () => {
  for (const size of [160, 320] as const) {
    const session = await openGraph(benchGenerator(size).graph);
    assert.deepEqual(shapesOf(session.inputMetadata), {
      input: ['float32', 'batch', 6, size, size],
      audio: ['float32', 'batch', 32, 16, 16],
    });
    assert.deepEqual(shapesOf(session.outputMetadata), { output: ['float32', 'batch', 3, size, size] });
    const visual = Float32Array.from({ length: 6 * size * size }, (_, index) => (index % 251) / 250);
    const audio = Float32Array.from({ length: 8192 }, (_, index) => (index % 17) / 16);
    const output = await new SessionNetwork(session, size).generate(visual, audio, 1);
    assert.equal(output.length, 3 * size * size);
    const middling = output.filter((value) => value > 0.02 && value < 0.98).length;
    assert.ok(middling > output.length / 2, `${middling} of ${output.length}`);
  }
});

test('the encoder takes a batch and its features depend on the sound', async () => {
  const session = await openGraph(benchEncoder().graph);
  assert.deepEqual(shapesOf(session.inputMetadata), { mel_spectrogram: ['float32', 'batch', 1, 80, 16] });
  assert.deepEqual(shapesOf(session.outputMetadata), { audio_features: ['float32', 'batch', 512] });
  const windows = Float32Array.from({ length: 2 * 1280 }, (_, index) => (index < 1280 ? -4 : 1));
  const features = await new SessionEncoder(session).encode(windows, 2);
  assert.equal(features.length, 1024);
  assert.ok(features.every(Number.isFinite));
  assert.notDeepEqual(features.slice(0, 512), features.slice(512));
});
