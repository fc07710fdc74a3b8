/**
 * Whether a video file ends before its own headers say it does, as after an interrupted copy or download. ffmpeg reads
 * a truncated Matroska or AVI file as a shorter video, and then an avatar would have fewer pictures than rects.
 */

import type { FileHandle } from 'node:fs/promises';
import { openFile } from '../../shared/files/regular-file.ts';

/** Longer than the header of any box, chunk or element that is read here. */
const HEADER_BYTES = 16;
const EBML_ID = 0x1a45dfa3;
const SEGMENT_ID = 0x18538067;
/** What the first box of an MP4 or MOV file may be. */
const FIRST_BOXES = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'styp', 'pnot']);
const BOX_NAME = /^[\x20-\x7e\xa9]{4}$/;

/**
 * Reads the headers of the outermost parts of an MP4, MOV, Matroska, WebM or AVI file.
 * @returns what is missing, as the second half of a sentence; undefined for a complete file, and for a file of another
 * format or without a stated length, where this cannot be known.
 * @throws what the file system throws.
 */
export async function findCutOff(path: string): Promise<string | undefined> {
  await using file = await openFile(path);
  const { size } = await file.stat();
  const read = (at: number) => readHeader(file, at);
  const first = await read(0);
  if (first.readUInt32BE(0) === EBML_ID) return await checkEbml(read, size);
  if (first.toString('latin1', 0, 4) === 'RIFF') return await checkRiff(read, size);
  if (FIRST_BOXES.has(first.toString('latin1', 4, 8))) return await checkBoxes(read, size);
  return undefined;
}

type Read = (at: number) => Promise<Buffer>;

/** Bytes behind the end of the file read as zeros. */
async function readHeader(file: FileHandle, at: number): Promise<Buffer> {
  const { buffer } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, at);
  return buffer;
}

async function checkBoxes(read: Read, size: number): Promise<string | undefined> {
  const names = new Set<string>();
  let at = 0;
  while (at < size) {
    const header = await read(at);
    const name = header.toString('latin1', 4, 8);
    const short = header.readUInt32BE(0);
    const length = short === 1 ? Number(header.readBigUInt64BE(8)) : short;
    // Zeros or other padding behind the last box.
    if (!BOX_NAME.test(name) || (short !== 0 && length < 8)) break;
    names.add(name);
    // A length of 0 means: to the end of the file.
    if (short === 0) break;
    at += length;
  }
  if (at > size) return endsEarly(size, at);
  return names.has('moov') ? undefined : 'it has no index (a box "moov"), which is written last';
}

async function checkEbml(read: Read, size: number): Promise<string | undefined> {
  const head = elementData(await read(0));
  const segmentAt = head.offset + head.length;
  const header = await read(segmentAt);
  if (header.readUInt32BE(0) !== SEGMENT_ID) return undefined;
  const segment = elementData(header);
  const expected = segmentAt + segment.offset + segment.length;
  return Number.isFinite(expected) && expected > size ? endsEarly(size, expected) : undefined;
}

/**
 * Where the data of an EBML element with an id of 4 bytes begins in it, and its length: infinite when it is not stated.
 */
function elementData(header: Buffer): { offset: number; length: number } {
  const lead = header[4] ?? 0;
  const width = Math.clz32(lead) - 23;
  const mask = 0xff >> width;
  const rest = [...header.subarray(5, 4 + width)];
  const unstated = width > 8 || ((lead & mask) === mask && rest.every((byte) => byte === 0xff));
  const length = rest.reduce((sum, byte) => sum * 256 + byte, lead & mask);
  return { offset: 4 + width, length: unstated ? Number.POSITIVE_INFINITY : length };
}

/** AVI: one RIFF chunk, or several in a file of more than a gigabyte. */
async function checkRiff(read: Read, size: number): Promise<string | undefined> {
  let at = 0;
  while (at < size) {
    const header = await read(at);
    const length = header.readUInt32LE(4);
    // A recorder that was killed has not written the length.
    if (header.toString('latin1', 0, 4) !== 'RIFF' || length === 0 || length === 0xffffffff) return undefined;
    at += 8 + length + (length % 2);
  }
  // The last byte may be padding, which some writers leave out.
  return at > size + 1 ? endsEarly(size, at) : undefined;
}

function endsEarly(size: number, expected: number): string {
  return `it was cut off: it has ${size} bytes of ${expected}`;
}
