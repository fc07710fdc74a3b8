import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNetworks } from '../../worker/onnx/exported-networks.ts';
import { openWorkspace } from '../models/workspace.ts';
import { tinyEncoder, tinyHubert, tinyNetwork, tinyWenet } from './tiny-onnx.ts';

const NONE = { modelPath: undefined, audioEncoderPath: undefined };

function among(folder: string, onnxPaths: readonly string[], checkpointPaths: readonly string[] = []) {
  return { folder, onnxPaths, checkpointPaths };
}

test('the two networks are told apart by the tensors that they take, whatever their names', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const encoder = await write('a.onnx', tinyEncoder());
  const network = await write('b.onnx', tinyNetwork());
  const both = await findNetworks(among(folder, [encoder, network]), NONE);
  assert.deepEqual([both.modelPath, both.encoderFor('ave'), both.notes], [network, encoder, []]);
  assert.equal((await findNetworks(among(folder, [network]), NONE)).encoderFor('ave'), undefined);
  const others = [await write('c.onnx', tinyHubert()), await write('d.onnx', tinyWenet())];
  const all = await findNetworks(among(folder, [encoder, ...others, network]), NONE);
  assert.deepEqual([all.encoderFor('hubert'), all.encoderFor('wenet'), all.missing], [...others, '']);
});

test('of several in a folder the highest number is taken, and of those without numbers none', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const epochs = [await write('9.onnx', tinyNetwork()), await write('50.onnx', tinyNetwork())];
  const found = await findNetworks(among(folder, epochs), NONE);
  assert.equal(found.modelPath, epochs[1]);
  assert.deepEqual(found.notes, ['50.onnx is taken, the highest number, not 9.onnx: --model names another']);
  const named = [await write('best.onnx', tinyNetwork()), await write('last.onnx', tinyNetwork())];
  await assert.rejects(findNetworks(among(folder, named), NONE), {
    code: 'model_unusable',
    message: 'best.onnx, last.onnx all take input and audio: name one with --model',
  });
  const given = await findNetworks(among(folder, named), { ...NONE, modelPath: named[1] });
  assert.equal(given.modelPath, named[1]);
});

test('a file that ONNX Runtime cannot open is passed over and named', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const broken = await write('broken.onnx', 'no network');
  const network = await write('good.onnx', tinyNetwork());
  const { modelPath, notes } = await findNetworks(among(folder, [broken, network]), NONE);
  assert.equal(modelPath, network);
  assert.match(notes.join(), /passed over broken\.onnx, which ONNX Runtime cannot open \(/);
  const { missing } = await findNetworks(among(folder, [broken]), NONE);
  assert.match(missing, /found broken\.onnx, which ONNX Runtime cannot open \(/);
});

test('a folder without a lip-sync network says what it has', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const odd = await write('odd.onnx', tinyEncoder({ inputName: 'wave' }));
  const { modelPath, missing } = await findNetworks(among(folder, [odd]), NONE);
  assert.equal(modelPath, undefined);
  assert.match(missing, /takes input and audio, or a checkpoint of PyTorch; found odd\.onnx, which takes wave/);
  const bare = await findNetworks(among(folder, [], [`${folder}/syncnet.pth`]), NONE);
  assert.match(bare.missing, /found no ONNX file; found syncnet\.pth, which by name is no lip-sync network; name its/);
});
