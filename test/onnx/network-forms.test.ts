import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { GraphBuilder, type PortType } from '../../shared/onnx/graph.ts';
import { findNetworks } from '../../worker/onnx/exported-networks.ts';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import { AUDIO_INPUT_FLOATS, mouthBytes } from '../../worker/pipeline/contract.ts';
import { openWorkspace } from '../models/workspace.ts';
import { tinyEncoder, tinyNetwork } from './tiny-onnx.ts';

/** Networks as other exports leave them paint what the usual export paints, or are refused with the reason. */

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };
const COUNT = 3;
const NONE = { modelPath: undefined, audioEncoderPath: undefined };

/** What `tinyNetwork` computes, with the sound first and other names. */
function renamedNetwork(batch: number | string, type: PortType = 'float32'): Uint8Array {
  const graph = new GraphBuilder('renamed-network', 'for tests');
  const audio = graph.input('mel', [batch, 32, 16, 16], type);
  const visual = graph.input('face', [batch, 6, 160, 160], type);
  const picture = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  const loudness = graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 });
  graph.output('picture', graph.node('Add', [picture, loudness]), [batch, 3, 160, 160], type);
  return encodeModel(graph.build());
}

async function painted(path: string): Promise<Uint8Array> {
  const network = await OnnxLipSyncNetwork.open(path, SETTINGS, COUNT);
  try {
    const crops = Uint8Array.from({ length: COUNT * mouthBytes(160) }, (_, index) => (index * 7) % 251);
    const audio = Float32Array.from({ length: COUNT * AUDIO_INPUT_FLOATS }, (_, index) => (index % 13) / 40);
    const mouths = new Uint8Array(COUNT * mouthBytes(160));
    await network.paint({ crops }, audio, mouths, COUNT);
    return mouths;
  } finally {
    await network.release();
  }
}

test('other names, another order and a fixed batch paint the same mouths, and an import finds them', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const usual = await painted(await write('usual.onnx', tinyNetwork()));
  assert.ok(new Set(usual).size > 50, 'a picture with something in it');
  const encoder = await write('encoder.onnx', tinyEncoder());
  for (const batch of ['n', 1, 2]) {
    const path = await write('renamed.onnx', renamedNetwork(batch));
    assert.ok(Buffer.compare(await painted(path), usual) === 0, `batch ${batch}`);
    const found = await findNetworks({ folder, onnxPaths: [encoder, path], checkpointPaths: [] }, NONE);
    assert.deepEqual([found.modelPath, found.encoderFor('ave')], [path, encoder]);
  }
});

test('a network that takes float16 is refused, and what to do is said', async (t) => {
  const { write } = await openWorkspace(t);
  const path = await write('half.onnx', renamedNetwork('n', 'float16'));
  await assert.rejects(OnnxLipSyncNetwork.open(path, SETTINGS), {
    code: 'model_unusable',
    message: /input "face" is no float32 tensor: export it with inputs and outputs of float32.*found mel float16/,
  });
});
