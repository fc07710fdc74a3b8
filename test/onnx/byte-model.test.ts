import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { encodeFields, encodeModel, type ModelVersions } from '../../shared/onnx/encode.ts';
import { type Graph, GraphBuilder, type GraphPort, type TensorName } from '../../shared/onnx/graph.ts';
import { MessageWriter } from '../../shared/onnx/message-writer.ts';
import { OnnxLipSyncNetwork } from '../../worker/onnx/lip-sync-network.ts';
import { outlineOf } from '../../worker/onnx/model-outline.ts';
import { AUDIO_INPUT_FLOATS, type Faces, mouthBytes, visualInputFloats } from '../../worker/pipeline/contract.ts';
import { generateOutside, paintOutside } from '../../worker/pipeline/picture-floats.ts';
import { openWorkspace } from '../models/workspace.ts';

/** A network whose file is made to take and give bytes paints the same mouths as bytes turned into floats around it. */

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 } };
const SIZE = 160;
/** Frames of a call; with FARM_MANY_GRAPHS=1 more of them, and the larger networks. */
const MANY = process.env.FARM_MANY_GRAPHS !== undefined;
const COUNTS = MANY ? [1, 3, 4, 8] : [4];

/** Node's types leave it out. */
declare const WebAssembly: {
  readonly Memory: new (size: {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }) => { readonly buffer: ArrayBuffer };
};

/**
 * Output: channels 0, 4 and 2 of what is seen, a third brighter than they are, plus one value that is heard. Its
 * operators have been the same since opset 5.
 */
function plainGraph(batch: number | string, { named = '', weights }: { named?: string; weights?: TensorName } = {}) {
  const graph = new GraphBuilder('plain', 'for tests', named);
  const visual = graph.input('input', [batch, 6, SIZE, SIZE]);
  const audio = graph.input('audio', [batch, 32, 16, 16]);
  const seen = graph.node('Gather', [visual, graph.integers(0, 4, 2)], { axis: 1 });
  const flat = graph.node('Reshape', [audio, graph.integers(-1, AUDIO_INPUT_FLOATS)]);
  const heard = graph.node('Reshape', [
    graph.node('Gather', [flat, graph.integers(5)], { axis: 1 }),
    graph.integers(-1, 1, 1, 1),
  ]);
  const brighter = graph.node('Mul', [seen, weights ?? graph.scalar(4 / 3)]);
  graph.output('output', graph.node('Add', [brighter, heard]), [batch, 3, SIZE, SIZE]);
  return graph.build();
}

async function openBytes(t: TestContext, bytes: Uint8Array, beside: Record<string, Uint8Array> = {}) {
  const workspace = await openWorkspace(t);
  for (const [name, content] of Object.entries(beside)) await workspace.write(name, content);
  return await openFile(t, await workspace.write('network.onnx', bytes));
}

async function openFile(t: TestContext, path: string): Promise<OnnxLipSyncNetwork> {
  const network = await OnnxLipSyncNetwork.open(path, SETTINGS, 8);
  t.after(() => network.release());
  return network;
}

/** The same numbers on every run, 0 … 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

function facesOf(size: 160 | 320, count: number): Faces[] {
  const next = numbers(count);
  const pictures = () => Uint8Array.from({ length: count * mouthBytes(size) }, () => next() * 256);
  const visual = Float32Array.from({ length: count * visualInputFloats(size) }, () => next() * 1.2 - 0.1);
  return [{ crops: pictures() }, { crops: pictures(), rois: pictures() }, { visual }];
}

/** Compares every kind of faces with the plain definition. */
async function assertSame(network: OnnxLipSyncNetwork, counts: readonly number[]): Promise<void> {
  for (const count of counts) {
    const next = numbers(count + 100);
    const audio = Float32Array.from({ length: count * AUDIO_INPUT_FLOATS }, () => next() * 0.6 - 0.3);
    for (const faces of facesOf(network.size, count)) {
      const [found, expected] = [0, 1].map(() => new Uint8Array(count * mouthBytes(network.size)));
      assert.ok(found && expected);
      await network.paint(faces, audio, found, count);
      await paintOutside(network, faces, audio, expected, count);
      assert.ok(Buffer.compare(found, expected) === 0, `${count} frames of ${Object.keys(faces)} differ`);
      assert.ok(new Set(found).size > 50, 'a picture with something in it');
      const floats = new Float32Array(new SharedArrayBuffer(count * mouthBytes(network.size) * 4));
      await network.paintFloats(faces, audio, floats, count);
      const same = await generateOutside(network, faces, audio, count);
      assert.ok(Buffer.compare(bytesOf(floats), bytesOf(same)) === 0, `${count} frames of floats differ`);
    }
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

const VERSIONS: ModelVersions[] = [
  { ir: 4, opset: 9 },
  { ir: 6, opset: 11 },
  { ir: 7, opset: 13 },
  { ir: 8, opset: 17 },
  { ir: 9, opset: 19 },
  { ir: 10, opset: 21 },
];
for (const versions of VERSIONS) {
  test(`inside the graph as outside of it, with opset ${versions.opset} and IR ${versions.ir}`, async (t) => {
    const network = await openBytes(t, encodeModel(plainGraph('batch'), versions));
    assert.equal(network.provider.outside, undefined);
    await assertSame(network, [2]);
  });
}

for (const batch of ['batch', 1, 3, 8]) {
  test(`inside the graph as outside of it, with batch axis ${batch}`, async (t) => {
    const network = await openBytes(t, encodeModel(plainGraph(batch)));
    assert.equal(network.provider.outside, undefined);
    await assertSame(network, COUNTS);
  });
}

/** Built where they are not there yet: other tests may be building them at the same time. */
const OWN_AVATARS: Readonly<Record<string, () => Promise<{ readonly generatorPath: string }>>> = {
  'the demo avatar': () => buildDemoAvatar(),
  'the benchmarks at 160 pixels': () => buildBenchModels(160),
  ...(MANY && { 'the benchmarks at 320 pixels': () => buildBenchModels(320) }),
};
for (const [whose, build] of Object.entries(OWN_AVATARS)) {
  test(`inside the graph as outside of it, with the network of ${whose}`, async (t) => {
    const network = await openFile(t, (await build()).generatorPath);
    assert.equal(network.provider.outside, undefined);
    await assertSame(network, MANY ? COUNTS : [1]);
  });
}

test('tensors that have our names already are left alone', async (t) => {
  const network = await openBytes(t, encodeModel(plainGraph('batch', { named: 'farm/before_' })));
  assert.equal(network.provider.outside, undefined);
  await assertSame(network, [2]);
});

test('constants may be listed among the inputs', async (t) => {
  const network = await openBytes(t, encodeModel(withListedConstants(plainGraph('batch'))));
  assert.equal(network.provider.outside, undefined);
  await assertSame(network, [2]);
});

test('weights may lie in a file beside the model', async (t) => {
  const entry = (key: string, value: string) => new MessageWriter().text(1, key).text(2, value);
  const outer = tensorMessage('weights').message(13, entry('location', 'weights.bin')).integer(14, 1);
  const graph = encodeFields(plainGraph('batch', { weights: 'weights' as TensorName }));
  const weights = new Uint8Array(Float32Array.of(1.25).buffer);
  const network = await openBytes(t, modelOf(graph.message(5, outer)), { 'weights.bin': weights });
  assert.equal(network.provider.outside, undefined);
  await assertSame(network, [2]);
});

const LEFT_ALONE: [string, ModelVersions, RegExp][] = [
  ['of the first kinds', { ir: 3, opset: 9 }, /IR version is 3/],
  ['with older operators', { ir: 4, opset: 8 }, /opset is 8/],
];
for (const [which, versions, reason] of LEFT_ALONE) {
  test(`a file ${which} stays as it is, which is said, and paints all the same`, async (t) => {
    const graph = plainGraph('batch');
    // Before IR 4 every constant is an input.
    const [left, wrapped] = [
      encodeModel(versions.ir < 4 ? withListedConstants(graph) : graph, versions),
      encodeModel(graph),
    ];
    const networks = [await openBytes(t, left), await openBytes(t, wrapped)];
    assert.match(networks[0]?.provider.outside ?? '', reason);
    for (const faces of facesOf(SIZE, 2)) {
      const painted: Uint8Array[] = [];
      for (const network of networks) {
        const mouths = new Uint8Array(2 * mouthBytes(SIZE));
        await network.paint(faces, new Float32Array(2 * AUDIO_INPUT_FLOATS), mouths, 2);
        painted.push(mouths);
      }
      assert.deepEqual(painted[0], painted[1]);
    }
  });
}

test('what is no number becomes black, and what is beyond the ends is cut', async (t) => {
  const graph = new GraphBuilder('odd', 'for tests');
  const visual = graph.input('input', ['batch', 6, SIZE, SIZE]);
  graph.input('audio', ['batch', 32, 16, 16]);
  const seen = graph.node('Gather', [visual, graph.integers(0, 1, 2)], { axis: 1 });
  const [huge, zero] = [1e30, 0].map((by) =>
    graph.node('Mul', [graph.node('Sub', [seen, graph.scalar(0.5)]), graph.scalar(by)]),
  );
  graph.output('output', graph.node('Div', [huge as TensorName, zero as TensorName]), ['batch', 3, SIZE, SIZE]);
  const network = await openBytes(t, encodeModel(graph.build()));
  const visualInput = Float32Array.from({ length: visualInputFloats(SIZE) }, (_, i) => (i % 3) / 2);
  const [found, expected] = [new Uint8Array(mouthBytes(SIZE)), new Uint8Array(mouthBytes(SIZE))];
  await network.paint({ visual: visualInput }, new Float32Array(AUDIO_INPUT_FLOATS), found, 1);
  await paintOutside(network, { visual: visualInput }, new Float32Array(AUDIO_INPUT_FLOATS), expected, 1);
  assert.deepEqual(found, expected);
});

test('mouths are written into shared memory and into that of WebAssembly, and nothing beside them', async (t) => {
  const network = await openBytes(t, encodeModel(plainGraph('batch')));
  const bytes = mouthBytes(SIZE);
  const faces = facesOf(SIZE, 1)[0] as Faces;
  const expected = new Uint8Array(bytes);
  await network.paint(faces, new Float32Array(AUDIO_INPUT_FLOATS), expected, 1);
  const pages = Math.ceil((bytes + 128) / 65_536);
  const memories = [
    new SharedArrayBuffer(bytes + 128),
    new WebAssembly.Memory({ initial: pages }).buffer,
    new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true }).buffer,
  ];
  for (const memory of memories) {
    const around = new Uint8Array(memory).fill(7);
    await network.paint(faces, new Float32Array(AUDIO_INPUT_FLOATS), new Uint8Array(memory, 64, bytes), 1);
    assert.deepEqual(Buffer.from(around.slice(64, 64 + bytes)), Buffer.from(expected));
    assert.ok([...around.slice(0, 64), ...around.slice(64 + bytes)].every((byte) => byte === 7));
  }
});

test('a size below 0 is none that a graph can be put together with', () => {
  const file = encodeModel(plainGraph(-1));
  assert.throws(() => outlineOf(file, { start: 0, end: file.length }), RangeError);
});

/** The same graph, its constants among the inputs as well: a caller may then give others. */
function withListedConstants(graph: Graph): Graph {
  const listed = graph.constants.map(({ name, dims, data }): GraphPort => {
    return { name, dims, type: data instanceof Float32Array ? 'float32' : 'int64' };
  });
  return { ...graph, inputs: [...graph.inputs, ...listed] };
}

/** A float32 tensor without dimensions, without its values. */
function tensorMessage(name: string): MessageWriter {
  return new MessageWriter().integer(2, 1).text(8, name);
}

function modelOf(graph: MessageWriter): Uint8Array {
  const opset = new MessageWriter().text(1, '').integer(2, 17);
  return new MessageWriter().integer(1, 8).message(7, graph.text(2, 'plain')).message(8, opset).toBytes();
}
