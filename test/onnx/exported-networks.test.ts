import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNetworks } from '../../worker/onnx/exported-networks.ts';
import { openWorkspace } from '../models/workspace.ts';
import { tinyEncoder, tinyNetwork } from './tiny-onnx.ts';

const NONE = { modelPath: undefined, audioEncoderPath: undefined };

test('the two networks are told apart by the tensors that they take, whatever their names', async (t) => {
  const workspace = await openWorkspace(t);
  const first = await workspace.write('a.onnx', tinyEncoder());
  const second = await workspace.write('b.onnx', tinyNetwork());
  assert.deepEqual(await findNetworks([first, second], NONE), { modelPath: second, audioEncoderPath: first });
  assert.deepEqual(await findNetworks([second], NONE), { modelPath: second, audioEncoderPath: undefined });
});

test('of several that fit none is guessed, and the option that names one is told', async (t) => {
  const workspace = await openWorkspace(t);
  const epochs = [await workspace.write('50.onnx', tinyNetwork()), await workspace.write('99.onnx', tinyNetwork())];
  await assert.rejects(findNetworks(epochs, NONE), {
    code: 'model_unusable',
    message: '50.onnx, 99.onnx all take input and audio: name one with --model',
  });
  const named = { ...NONE, modelPath: epochs[1] };
  assert.deepEqual(await findNetworks(epochs, named), { ...named, audioEncoderPath: undefined });
});

test('a folder without a lip-sync network says what it has', async (t) => {
  const workspace = await openWorkspace(t);
  const odd = await workspace.write('odd.onnx', tinyEncoder({ inputName: 'wave' }));
  await assert.rejects(findNetworks([odd], NONE), /takes input and audio; found odd.onnx \(takes wave\)/);
  await assert.rejects(findNetworks([], NONE), /found none/);
  const broken = await workspace.write('broken.onnx', 'no network');
  await assert.rejects(findNetworks([broken], NONE), /ONNX Runtime cannot open .*broken\.onnx/);
});
