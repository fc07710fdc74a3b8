/** The inputs and outputs of an .onnx file, read without its weights: a few pieces of it, however large it is. */

import type { FileHandle } from 'node:fs/promises';
import { openFile } from '../files/regular-file.ts';
import { type ByteRange, fieldsOf, type MessageField, textOf, varintAt } from './message-reader.ts';

export interface PortShape {
  readonly name: string;
  /** A number, a name, or undefined where nothing is said. Undefined for what has no shape, or is no tensor. */
  readonly dims: readonly (number | string | undefined)[] | undefined;
}

/** Field numbers of onnx.proto3. */
const GRAPH_FIELD = 7;
const GRAPH = { input: 11, output: 12 };
const VALUE = { name: 1, type: 2 };
const TENSOR = 1;
const SHAPE = 2;
const DIM = { value: 1, name: 2 };
const KINDS = ['input', 'output'] as const;
/** More than any input or output takes. */
const MOST_PORT_BYTES = 1 << 16;
/** Fields are looked for in pieces of this length. */
const PIECE_BYTES = 1 << 15;
/** Of a field's tag and length. */
const HEAD_BYTES = 20;

export interface PortShapes {
  /** Those that stand for constants included. */
  readonly inputs: readonly PortShape[];
  readonly outputs: readonly PortShape[];
}

/**
 * @returns what its graph takes and gives.
 * @throws RangeError when it is no ONNX file; the file system's error.
 */
export async function readPortShapes(path: string): Promise<PortShapes> {
  await using file = await openFile(path);
  const { size, read } = await pieceReader(file);
  const ports: Record<keyof typeof GRAPH, PortShape[]> = { input: [], output: [] };
  for await (const field of fieldsIn(read, { start: 0, end: size })) {
    if (field.number !== GRAPH_FIELD) continue;
    for await (const part of fieldsIn(read, field)) {
      const kind = KINDS.find((one) => GRAPH[one] === part.number);
      if (kind === undefined || part.end - part.start > MOST_PORT_BYTES) continue;
      ports[kind].push(portOf(await read(part.start, part.end - part.start)));
    }
  }
  return { inputs: ports.input, outputs: ports.output };
}

/** Reads a file in pieces, which are shorter where it ends. */
export type ReadPiece = (start: number, length: number) => Promise<Uint8Array>;

export async function pieceReader(file: FileHandle): Promise<{ readonly size: number; readonly read: ReadPiece }> {
  const { size } = await file.stat();
  const read = async (start: number, length: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(Math.min(length, size - start));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
    return bytes.subarray(0, bytesRead);
  };
  return { size, read };
}

interface Field extends ByteRange {
  readonly number: number;
}

/** The length-delimited fields of a message in a file, with where their values lie. */
export async function* fieldsIn(read: ReadPiece, message: ByteRange): AsyncGenerator<Field> {
  let piece: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };
  for (let at = message.start; at < message.end; ) {
    if (at < piece.start || at + HEAD_BYTES > piece.start + piece.bytes.length) {
      piece = { start: at, bytes: await read(at, PIECE_BYTES) };
    }
    const head = headAt(piece.bytes, at - piece.start);
    const start = piece.start + head.valueAt;
    at = start + head.length;
    if (at > message.end || head.number === 0) throw new RangeError(`no protobuf message at byte ${start}`);
    if (head.delimited) yield { number: head.number, start, end: at };
  }
}

function headAt(
  bytes: Uint8Array,
  at: number,
): { number: number; delimited: boolean; valueAt: number; length: number } {
  const tag = varintAt(bytes, at);
  const number = Math.floor(tag.value / 8);
  const wireType = tag.value % 8;
  if (wireType === 0) return { number, delimited: false, valueAt: varintAt(bytes, tag.end).end, length: 0 };
  if (wireType === 1) return { number, delimited: false, valueAt: tag.end, length: 8 };
  if (wireType === 5) return { number, delimited: false, valueAt: tag.end, length: 4 };
  if (wireType !== 2) throw new RangeError(`protobuf wire type ${wireType} is unknown`);
  const length = varintAt(bytes, tag.end);
  return { number, delimited: true, valueAt: length.end, length: length.value };
}

function portOf(bytes: Uint8Array): PortShape {
  const find = (message: ByteRange | undefined, number: number): MessageField | undefined =>
    message && [...fieldsOf(bytes, message)].findLast((field) => field.number === number);
  const all = { start: 0, end: bytes.length };
  const name = find(all, VALUE.name);
  const shape = find(find(find(all, VALUE.type)?.value, TENSOR)?.value, SHAPE);
  const dims = shape && [...fieldsOf(bytes, shape.value)].map(({ value }) => dimOf(bytes, value));
  return { name: name === undefined ? '' : textOf(bytes, name), dims };
}

function dimOf(bytes: Uint8Array, message: ByteRange): number | string | undefined {
  const fields = [...fieldsOf(bytes, message)];
  const name = fields.findLast(({ number }) => number === DIM.name);
  return name === undefined ? fields.findLast(({ number }) => number === DIM.value)?.integer : textOf(bytes, name);
}
