import { fieldsOf } from '../../shared/onnx/message-reader.ts';
import { MessageWriter } from '../../shared/onnx/message-writer.ts';

/** Field numbers of onnx.proto3. */
const GRAPH = 7;
const INITIALIZER = 5;
const RAW_DATA = 9;
const DATA_TYPE = 2;
const FLOAT32 = 1;

/** An .onnx file → the same with the values of its floats in a file of their own, beside it. */
export function withWeightsOutside(model: Uint8Array, location: string): { model: Uint8Array; weights: Uint8Array } {
  const weights: Uint8Array[] = [];
  let offset = 0;
  const reference = (bytes: number): Uint8Array => {
    const entry = (key: string, text: string) => new MessageWriter().text(1, key).text(2, text);
    const entries = [entry('location', location), entry('offset', String(offset)), entry('length', String(bytes))];
    const writer = new MessageWriter();
    for (const one of entries) writer.message(13, one);
    return writer.integer(14, 1).toBytes();
  };
  // Whole numbers are shapes, which ONNX Runtime must see at once.
  const isFloat = (tensor: Uint8Array) =>
    [...fieldsOf(tensor, { start: 0, end: tensor.length })].some(
      ({ number, integer }) => number === DATA_TYPE && integer === FLOAT32,
    );
  const outside = (tensor: Uint8Array): Uint8Array =>
    mapFields(tensor, isFloat(tensor) ? RAW_DATA : 0, (raw) => {
      const said = reference(raw.length);
      weights.push(raw);
      offset += raw.length;
      return said;
    });
  const changed = mapFields(model, GRAPH, (graph) =>
    field(
      GRAPH,
      mapFields(graph, INITIALIZER, (tensor) => field(INITIALIZER, outside(tensor))),
    ),
  );
  return { model: changed, weights: Buffer.concat(weights) };
}

/** A message with other bytes in place of some of its fields. */
function mapFields(message: Uint8Array, of: number, other: (value: Uint8Array) => Uint8Array): Uint8Array {
  const fields = [...fieldsOf(message, { start: 0, end: message.length })].map(({ number, start, end, value }) =>
    number === of ? other(message.subarray(value.start, value.end)) : message.subarray(start, end),
  );
  return Buffer.concat(fields);
}

const field = (number: number, bytes: Uint8Array) => new MessageWriter().bytes(number, bytes).toBytes();
