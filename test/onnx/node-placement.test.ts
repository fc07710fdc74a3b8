import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import { checkPlacement, PlacementProbe } from '../../worker/onnx/node-placement.ts';
import { AUDIO_INPUT_FLOATS } from '../../worker/pipeline/contract.ts';
import { openWorkspace } from '../models/workspace.ts';
import { tinyNetwork } from './tiny-onnx.ts';

const SIZE = 160;

test('the profile of a run says where every node ran, and a provider that ran none is found out', async () => {
  await using probe = await PlacementProbe.start();
  assert.ok(probe);
  // What onnxruntime-node makes of a provider that it does not know, in a list: the CPU.
  const executionProviders = ['abacus', 'cpu'];
  const session = await InferenceSession.create(tinyNetwork(), { executionProviders, ...probe.sessionOptions });
  const visual = new Tensor('float32', new Float32Array(6 * SIZE * SIZE), [1, 6, SIZE, SIZE]);
  const audio = new Tensor('float32', new Float32Array(AUDIO_INPUT_FLOATS), [1, 32, 16, 16]);
  await session.run({ input: visual, audio });
  const nodes = await probe.read(session);
  await session.release();
  assert.deepEqual(nodes, { cpu: 3 });
  assert.throws(() => checkPlacement('abacus', nodes), /ran every node of the model on cpu instead/);
  assert.doesNotThrow(() => checkPlacement('cpu', nodes));
});

test('a provider that does part of the work, or of which nothing is known, may stay', () => {
  assert.doesNotThrow(() => checkPlacement('cuda', { cpu: 7, cuda: 200 }));
  assert.doesNotThrow(() => checkPlacement('cuda', {}));
});

test('WebGPU, where there is an adapter, runs the nodes itself and gives the pictures of the CPU', async (t) => {
  const workspace = await openWorkspace(t);
  const path = await workspace.write('network.onnx', tinyNetwork());
  const threads = { intraOp: 1, interOp: 1 };
  const chosen = await OnnxLipSyncNetwork.open(path, { providers: ['webgpu', 'cpu'], threads });
  t.after(() => chosen.release());
  if (chosen.provider.provider !== 'webgpu') return t.skip(chosen.provider.passedOver[0]?.reason);
  assert.ok((chosen.provider.nodes.webgpu ?? 0) > 0);
  const cpu = await OnnxLipSyncNetwork.open(path, { providers: ['cpu'], threads });
  t.after(() => cpu.release());
  const visual = new Float32Array(2 * 6 * SIZE * SIZE).map((_, index) => (index % 255) / 255);
  const audio = new Float32Array(2 * AUDIO_INPUT_FLOATS).fill(0.25);
  const expected = await cpu.generate(visual, audio, 2);
  for (const [index, value] of (await chosen.generate(visual, audio, 2)).entries()) {
    assert.ok(Math.abs(value - (expected[index] as number)) < 1e-4, `float ${index}`);
  }
});
