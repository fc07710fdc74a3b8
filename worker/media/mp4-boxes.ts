import type { FileHandle } from 'node:fs/promises';

/**
 * Boxes of an MP4 (ISO/IEC 14496-12), as far as files are concerned that the farm's own ffmpeg has written: each is its
 * length in 4 bytes, its name in 4 more, and its content, which may be boxes again.
 */

/** Whatever is not as the farm's ffmpeg writes it; says what. It is no fault: ffmpeg itself can read it. */
export class UnusualMp4 extends Error {}

export interface Box {
  readonly name: string;
  readonly content: Buffer;
}

const HEADER_BYTES = 8;
/** Of an index that is read; that of an hour has a megabyte. */
const MOST_INDEX_BYTES = 256 * 1024 * 1024;

/** The boxes that follow each other in `content`. @throws UnusualMp4 where their lengths do not fill it. */
export function boxesIn(content: Buffer): Box[] {
  const boxes: Box[] = [];
  let at = 0;
  while (at < content.length) {
    const length = at + HEADER_BYTES <= content.length ? content.readUInt32BE(at) : 0;
    if (length < HEADER_BYTES || at + length > content.length) throw new UnusualMp4('a box of another length');
    const name = content.toString('latin1', at + 4, at + HEADER_BYTES);
    boxes.push({ name, content: content.subarray(at + HEADER_BYTES, at + length) });
    at += length;
  }
  return boxes;
}

/** Content of the box at the end of a way of names, each within the one before. @throws UnusualMp4 unless there is one. */
export function contentOf(content: Buffer, ...way: readonly string[]): Buffer {
  let found = content;
  for (const name of way) {
    const [box, ...others] = boxesIn(found).filter((candidate) => candidate.name === name);
    if (!box || others.length > 0) throw new UnusualMp4(`${others.length > 0 ? 'several boxes' : 'no box'} ${name}`);
    found = box.content;
  }
  return found;
}

/** A box as it is written. */
export function boxOf(name: string, ...content: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES, name.padStart(HEADER_BYTES), 'latin1');
  header.writeUInt32BE(content.reduce((sum, { length }) => sum + length, HEADER_BYTES));
  return Buffer.concat([header, ...content]);
}

/** Numbers of 32 bits one after the other. */
export function numbersOf(values: readonly number[] | Uint32Array): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, place) => {
    bytes.writeUInt32BE(value, place * 4);
  });
  return bytes;
}

/** A copy of `content` with other numbers of 32 bits at some places. */
export function withNumbers(content: Buffer, numbers: Readonly<Record<number, number>>): Buffer {
  const changed = Buffer.from(content);
  for (const [at, value] of Object.entries(numbers)) changed.writeUInt32BE(value, Number(at));
  return changed;
}

/** What tells of a file's tracks: contents of its `ftyp` and `moov`. */
export interface FileIndex {
  readonly kind: Buffer;
  readonly index: Buffer;
  readonly fileBytes: number;
}

/**
 * Reads what tells of a file's tracks, and not the tracks.
 * @throws UnusualMp4; what the file system throws.
 */
export async function readIndex(file: FileHandle): Promise<FileIndex> {
  const { size } = await file.stat();
  const found = new Map<string, Buffer>();
  const header = Buffer.alloc(HEADER_BYTES);
  for (let at = 0; at < size; ) {
    await readFully(file, header, at);
    const [length, name] = [header.readUInt32BE(0), header.toString('latin1', 4)];
    if (length < HEADER_BYTES || at + length > size) throw new UnusualMp4('a box of another length');
    if (name === 'ftyp' || name === 'moov') {
      if (length > MOST_INDEX_BYTES || found.has(name)) throw new UnusualMp4(`a box ${name} of ${length} bytes`);
      found.set(name, await readFully(file, Buffer.alloc(length - HEADER_BYTES), at + HEADER_BYTES));
    }
    at += length;
  }
  const [kind, index] = [found.get('ftyp'), found.get('moov')];
  if (!kind || !index) throw new UnusualMp4('no index');
  return { kind, index, fileBytes: size };
}

/** Fills `into` with what lies at `at`. @throws UnusualMp4 where the file ends before that. */
export async function readFully(file: FileHandle, into: Buffer, at: number): Promise<Buffer> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, at + filled);
    if (bytesRead === 0) throw new UnusualMp4('an end before its time');
    filled += bytesRead;
  }
  return into;
}
