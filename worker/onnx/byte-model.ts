/** The file of a lip-sync network → a model that takes and gives bytes, the network's own graph unchanged inside it. */

import { open } from 'node:fs/promises';
import { encodeFields } from '../../shared/onnx/encode.ts';
import type { ByteRange } from '../../shared/onnx/message-reader.ts';
import { MessageWriter } from '../../shared/onnx/message-writer.ts';
import type { NetworkSize } from '../pipeline/contract.ts';
import { type ByteNames, byteNames, graphBefore, graphBehind, OLDEST_OPSET } from './byte-graph.ts';
import { type ModelOutline, metadataOf, outlineOf } from './model-outline.ts';
import { type BoundContract, type BoundTensor, bindContract, type ModelContract, shapeOf } from './tensor-contract.ts';

/** A network in memory that takes and gives bytes. */
export interface ByteModel extends Disposable {
  /** Of an .onnx file. Not to be used once this is disposed of. */
  readonly bytes: Uint8Array;
  readonly names: ByteNames;
  /** What it takes and gives beside what the network itself does. */
  readonly bound: BoundContract;
}

/** Says why a network is left as it is. */
export class NotWrapped extends Error {}

/** Room before and behind the file for what is added, so that its weights are read into their place and never copied. */
const ROOM = 1 << 20;
/** ONNX Runtime takes no more in one piece. */
const MAX_BYTES = 2 ** 31 - 1 - 2 * ROOM;
/** Older ones list constants among the inputs. */
const OLDEST_IR = 4;
/** Tag of `value_info` in a GraphProto: what is said of a tensor that is neither input nor output. */
const VALUE_INFO_TAG = (13 << 3) | 2;
/** Number of `graph` in a ModelProto. */
const GRAPH_FIELD = 7;

/** What the network itself calls its pictures; its contract names their side `S`. */
interface PictureNames {
  readonly visual: string;
  readonly output: string;
}

/**
 * Reads a network and puts nodes before and behind it.
 * @throws NotWrapped for one that has to stay as it is. One that does not fit its contract does, too: its faults are
 * told when it is opened.
 */
export async function readByteModel(path: string, contract: ModelContract, own: PictureNames): Promise<ByteModel> {
  const { memory, file } = await readWithRoom(path);
  const outline = outlined(memory, file);
  const network = bound(outline, contract);
  const size = network.namedDims.get('S') as NetworkSize;
  const prefix = freePrefix(memory);
  const names = byteNames(prefix);
  const batch = network.batch === 'dynamic' ? `${prefix}batch` : network.batch;
  const before = encodeFields(graphBefore(prefix, size, own.visual)).toBytes();
  const behind = encodeFields(graphBehind(prefix, batch, size, own.output)).toBytes();
  // The visual input is no input any more, but made by a node. What the file says of its shape still holds.
  const visual = outline.inputs.find(({ name }) => name === own.visual);
  if (visual) memory[visual.field.start] = VALUE_INFO_TAG;
  return {
    bytes: spliced(memory, file, outline, before, behind),
    names,
    bound: withBytes(network, names, size, own),
    [Symbol.dispose]() {
      // Gives the memory back now, not when the collector comes round.
      memory.buffer.transfer(0);
    },
  };
}

async function readWithRoom(path: string): Promise<{ memory: Uint8Array<ArrayBuffer>; file: ByteRange }> {
  await using handle = await open(path);
  const { size } = await handle.stat();
  if (size > MAX_BYTES) throw new NotWrapped(`it has more than ${MAX_BYTES} bytes`);
  const memory = new Uint8Array(size + 2 * ROOM);
  const file = { start: ROOM, end: ROOM + size };
  for (let at = file.start; at < file.end; ) {
    const { bytesRead } = await handle.read(memory, at, file.end - at, at - file.start);
    if (bytesRead === 0) throw new NotWrapped('it became shorter while it was read');
    at += bytesRead;
  }
  return { memory, file };
}

function outlined(memory: Uint8Array, file: ByteRange): ModelOutline {
  try {
    return outlineOf(memory, file);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NotWrapped(`it cannot be read: ${cause.message}`, { cause });
  }
}

function bound({ irVersion, opset, inputs, outputs }: ModelOutline, contract: ModelContract): BoundContract {
  if (irVersion < OLDEST_IR) throw new NotWrapped(`its IR version is ${irVersion}, below ${OLDEST_IR}`);
  if (opset === undefined || opset < OLDEST_OPSET) {
    throw new NotWrapped(`its opset is ${opset ?? 'not given'}, below ${OLDEST_OPSET}`);
  }
  const result = bindContract(contract, inputs.map(metadataOf), outputs.map(metadataOf));
  if (!result.fits) throw new NotWrapped(result.reason);
  return result.bound;
}

/** Begins no name in the model: these bytes stand nowhere in it. */
function freePrefix(memory: Uint8Array<ArrayBuffer>): string {
  const bytes = Buffer.from(memory.buffer);
  for (let number = 0; ; number++) {
    const prefix = `farm${number || ''}/`;
    if (!bytes.includes(prefix)) return prefix;
  }
}

/**
 * Puts `before` and `behind` at both ends of the graph. The file's own bytes before the graph, a few, move to the front;
 * those behind it move back; the graph stays in its place.
 */
function spliced(
  memory: Uint8Array,
  file: ByteRange,
  { graph }: ModelOutline,
  before: Uint8Array,
  behind: Uint8Array,
): Uint8Array {
  const graphBytes = before.length + (graph.value.end - graph.value.start) + behind.length;
  const header = new MessageWriter().fieldStart(GRAPH_FIELD, graphBytes).toBytes();
  const head = memory.slice(file.start, graph.start);
  const start = graph.value.start - before.length - header.length - head.length;
  const end = file.end + behind.length;
  if (start < 0 || end > memory.length) throw new NotWrapped('there is too much beside its graph');
  memory.copyWithin(graph.value.end + behind.length, graph.value.end, file.end);
  memory.set(behind, graph.value.end);
  let at = start;
  for (const piece of [head, header, before]) {
    memory.set(piece, at);
    at += piece.length;
  }
  return memory.subarray(start, end);
}

function withBytes(network: BoundContract, names: ByteNames, size: NetworkSize, own: PictureNames): BoundContract {
  const pictures = shapeOf([size, size, 3]);
  const inputs = network.inputs.filter(({ name }) => name !== own.visual);
  const visual = network.inputs.find(({ name }) => name === own.visual) as BoundTensor;
  return {
    ...network,
    inputs: [
      ...inputs,
      { name: names.crops, type: 'uint8', use: 'may be empty', ...pictures },
      { name: names.rois, type: 'uint8', use: 'empty at first', ...pictures },
      { ...visual, name: names.visual, use: 'empty at first' },
    ],
    outputs: [...network.outputs, { name: names.mouths, type: 'uint8', use: 'always', ...pictures }],
  };
}
