/** What can be said of an .onnx file without its weights: versions, inputs and outputs, and where its graph lies. */

import { TENSOR_TYPES } from '../../shared/onnx/encode.ts';
import { type ByteRange, fieldsOf, type MessageField, textOf } from '../../shared/onnx/message-reader.ts';
import type { InferenceSession } from './onnxruntime.ts';

export interface PortOutline {
  readonly name: string;
  /** Number of TensorProto.DataType; undefined for what is no tensor. */
  readonly type: number | undefined;
  /** A number, a name, or undefined for a size of which nothing is said. The list is undefined without a shape. */
  readonly dims: readonly (number | string | undefined)[] | undefined;
  /** Where its field lies. */
  readonly field: ByteRange;
}

export interface ModelOutline {
  readonly irVersion: number;
  /** Of the operators that ONNX itself defines; undefined when the file does not say. */
  readonly opset: number | undefined;
  /** The field of the graph, and in it the message. */
  readonly graph: MessageField;
  /** Without those that stand for a constant, which need not be given. */
  readonly inputs: readonly PortOutline[];
  readonly outputs: readonly PortOutline[];
}

/** Field numbers of onnx.proto3. */
const MODEL = { irVersion: 1, graph: 7, opsetImport: 8 };
const OPSET = { domain: 1, version: 2 };
const GRAPH = { initializer: 5, input: 11, output: 12 };
const CONSTANT = { name: 8 };
const VALUE = { name: 1, type: 2 };
const TYPE = { tensor: 1 };
const TENSOR = { elementType: 1, shape: 2 };
const DIM = { value: 1, name: 2 };
const FLOATS = ['float32', 'float16'] as const;

/** @throws RangeError when the bytes are no ONNX model with one graph. */
export function outlineOf(bytes: Uint8Array, file: ByteRange): ModelOutline {
  const fields = [...fieldsOf(bytes, file)];
  const [graph, second] = fields.filter(({ number }) => number === MODEL.graph);
  if (graph === undefined || second !== undefined) throw new RangeError('there is not one graph in it');
  const parts = [...fieldsOf(bytes, graph.value)];
  const partsOf = (number: number) => parts.filter((field) => field.number === number);
  const portsOf = (number: number) => partsOf(number).map((field) => portOf(bytes, field));
  const constants = new Set(partsOf(GRAPH.initializer).map(({ value }) => constantName(bytes, value)));
  return {
    irVersion: last(fields, MODEL.irVersion)?.integer ?? 0,
    opset: fields
      .filter(({ number }) => number === MODEL.opsetImport)
      .map(({ value }) => opsetOf(bytes, value))
      .find((version) => version !== undefined),
    graph,
    inputs: portsOf(GRAPH.input).filter(({ name }) => !constants.has(name)),
    outputs: portsOf(GRAPH.output),
  };
}

/** An input or output as ONNX Runtime describes it. */
export function metadataOf({ name, type, dims = [] }: PortOutline): InferenceSession.ValueMetadata {
  if (type === undefined) return { name, isTensor: false };
  // No others fit a contract, so they need not be told apart.
  const known = FLOATS.find((one) => TENSOR_TYPES[one] === type);
  return { name, isTensor: true, type: known ?? 'string', shape: dims.map((dim) => dim ?? '') };
}

/** The version of ONNX's own operators; undefined when the message is about those of others. */
function opsetOf(bytes: Uint8Array, message: ByteRange): number | undefined {
  const fields = [...fieldsOf(bytes, message)];
  const domain = last(fields, OPSET.domain);
  const name = domain === undefined ? '' : textOf(bytes, domain);
  return name === '' || name === 'ai.onnx' ? last(fields, OPSET.version)?.integer : undefined;
}

function constantName(bytes: Uint8Array, message: ByteRange): string {
  const name = last([...fieldsOf(bytes, message)], CONSTANT.name);
  return name === undefined ? '' : textOf(bytes, name);
}

function portOf(bytes: Uint8Array, field: MessageField): PortOutline {
  const inside = (message: ByteRange | undefined, number: number) =>
    message && last([...fieldsOf(bytes, message)], number);
  const name = inside(field.value, VALUE.name);
  const tensor = inside(inside(field.value, VALUE.type)?.value, TYPE.tensor);
  const shape = inside(tensor?.value, TENSOR.shape);
  return {
    name: name === undefined ? '' : textOf(bytes, name),
    type: inside(tensor?.value, TENSOR.elementType)?.integer,
    dims: shape && [...fieldsOf(bytes, shape.value)].map(({ value }) => dimOf(bytes, value)),
    field,
  };
}

function dimOf(bytes: Uint8Array, message: ByteRange): number | string | undefined {
  const fields = [...fieldsOf(bytes, message)];
  const name = last(fields, DIM.name);
  if (name !== undefined) return textOf(bytes, name);
  const size = last(fields, DIM.value)?.integer;
  if (size === undefined || Number.isSafeInteger(size)) return size;
  throw new RangeError('a size in it is negative, or larger than any can be');
}

/** Of a field that stands several times the last counts. */
function last(fields: readonly MessageField[], number: number): MessageField | undefined {
  return fields.findLast((field) => field.number === number);
}
