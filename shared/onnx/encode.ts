/** An ONNX graph → the bytes of an .onnx file. Field numbers are those of onnx.proto3. */
import type { AttributeValue, Graph, GraphNode, GraphPort, TensorConstant } from './graph.ts';
import { MessageWriter } from './message-writer.ts';

/** Versions of the file's format and of the operators in it. */
export interface ModelVersions {
  readonly ir: number;
  readonly opset: number;
}

/**
 * IR 8 is the one that came with opset 17; every ONNX Runtime since 1.12 reads both. Opset 17 is the first with
 * LayerNormalization, the one after GridSample (16); Resize, Pad, Slice and Clip take tensors.
 */
const VERSIONS: ModelVersions = { ir: 8, opset: 17 };

/** Of TensorProto.DataType. */
export const TENSOR_TYPES = { float32: 1, uint8: 2, int64: 7, bool: 9, float16: 10 } as const;

const ATTRIBUTE_FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_STRING = 3;
const ATTRIBUTE_GRAPH = 5;
const ATTRIBUTE_INTS = 7;

/** The same graph gives the same bytes. */
export function encodeModel(graph: Graph, versions = VERSIONS): Uint8Array {
  return new MessageWriter()
    .integer(1, versions.ir)
    .text(2, 'lipsync-farm')
    .text(6, graph.description)
    .message(7, encodeGraph(graph))
    .message(8, new MessageWriter().text(1, '').integer(2, versions.opset))
    .toBytes();
}

function encodeGraph(graph: Graph): MessageWriter {
  return encodeFields(graph).text(2, graph.name);
}

/** Nodes, constants, inputs and outputs as fields of a GraphProto: another graph's fields may stand beside them. */
export function encodeFields(graph: Graph): MessageWriter {
  const writer = new MessageWriter();
  for (const node of graph.nodes) writer.message(1, encodeNode(node));
  for (const constant of graph.constants) writer.message(5, encodeTensor(constant));
  for (const port of graph.inputs) writer.message(11, encodePort(port));
  for (const port of graph.outputs) writer.message(12, encodePort(port));
  return writer;
}

function encodeNode(node: GraphNode): MessageWriter {
  const writer = new MessageWriter();
  for (const name of node.inputs) writer.text(1, name);
  for (const name of node.outputs) writer.text(2, name);
  writer.text(3, `${node.outputs[0]}`).text(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) writer.message(5, encodeAttribute(name, value));
  return writer;
}

function encodeAttribute(name: string, value: AttributeValue): MessageWriter {
  const writer = new MessageWriter().text(1, name);
  const kind = 20;
  if (typeof value === 'number') return writer.integer(3, value).integer(kind, ATTRIBUTE_INT);
  if (typeof value === 'string') return writer.text(4, value).integer(kind, ATTRIBUTE_STRING);
  if ('float' in value) return writer.float(2, value.float).integer(kind, ATTRIBUTE_FLOAT);
  if ('graph' in value) return writer.message(6, encodeGraph(value.graph)).integer(kind, ATTRIBUTE_GRAPH);
  for (const item of value) writer.integer(8, item);
  return writer.integer(kind, ATTRIBUTE_INTS);
}

function encodeTensor({ name, dims, data }: TensorConstant): MessageWriter {
  const writer = new MessageWriter();
  for (const dim of dims) writer.integer(1, dim);
  return writer
    .integer(2, data instanceof Float32Array ? TENSOR_TYPES.float32 : TENSOR_TYPES.int64)
    .text(8, name)
    .bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function encodePort(port: GraphPort): MessageWriter {
  const shape = new MessageWriter();
  for (const dim of port.dims) {
    const entry = new MessageWriter();
    shape.message(1, typeof dim === 'number' ? entry.integer(1, dim) : entry.text(2, dim));
  }
  const tensorType = new MessageWriter().integer(1, TENSOR_TYPES[port.type]).message(2, shape);
  return new MessageWriter().text(1, port.name).message(2, new MessageWriter().message(1, tensorType));
}
