/**
 * The file of one prepared picture. A head of 128 bytes, then three parts, each with its own checksum in the head:
 * what the compositor needs (`rows`, `jpeg`, `area`, `rim`, one after the other), the face that the network sees, and
 * the face for the channels in which the mouth is hidden, where the avatar has one. Numbers are little-endian.
 */

import { crc32 } from 'node:zlib';
import type { PreparedJpeg } from '../compositor/contract.ts';

/** Another number whenever the same sources come to give other bytes: part of the key of every picture. */
export const FORMAT_VERSION = 1;
export const HEAD_BYTES = 128;
/** "LFPP", read as a number. */
const MAGIC = 0x5050_464c;
const ROW_VALUE_BYTES = 4;

/** What a prepared picture is made of. */
export interface PictureParts extends PreparedJpeg {
  readonly area: Uint8Array;
  readonly rim: Uint8Array;
  /** [S, S, 3] RGB. */
  readonly face: Uint8Array;
  /** [S, S, 3] RGB; absent where the avatar has none. */
  readonly hiddenFace: Uint8Array | undefined;
}

/** Where one part of a file is. */
export interface PartPlace {
  readonly start: number;
  readonly byteLength: number;
  readonly crc: number;
}

/** What the head of a file says. */
export interface PictureHead {
  /** Values in `rows`. */
  readonly rowCount: number;
  readonly jpegBytes: number;
  readonly areaBytes: number;
  readonly rimBytes: number;
  /** `rows`, `jpeg`, `area` and `rim`. */
  readonly main: PartPlace;
  readonly face: PartPlace;
  /** Empty where there is none. */
  readonly hiddenFace: PartPlace;
}

/** Numbers of the head, in their order; the last one is the checksum of those before it. */
const FIELDS = 14;

/** The whole file. @param key of the picture, 32 hex digits: it names its file, and stands in it. */
export function toFile(key: string, parts: PictureParts): Uint8Array {
  const { rows, jpeg, area, rim, face, hiddenFace = new Uint8Array(0) } = parts;
  const mainBytes = rows.byteLength + jpeg.length + area.length + rim.length;
  const file = new Uint8Array(HEAD_BYTES + mainBytes + face.length + hiddenFace.length);
  let at = HEAD_BYTES;
  for (const part of [bytesOf(rows), jpeg, area, rim, face, hiddenFace]) {
    file.set(part, at);
    at += part.length;
  }
  const faceAt = HEAD_BYTES + mainBytes;
  const hiddenAt = faceAt + face.length;
  const sums = [file.subarray(HEAD_BYTES, faceAt), file.subarray(faceAt, hiddenAt), file.subarray(hiddenAt)].map(
    crc32Of,
  );
  const lengths = [rows.length, jpeg.length, area.length, rim.length, face.length, hiddenFace.length];
  writeHead(file, [MAGIC, FORMAT_VERSION, ...keyWords(key), ...lengths, ...sums]);
  return file;
}

/**
 * Reads a head.
 * @param head the first 128 bytes of a file, or fewer where it is shorter.
 * @param key that the file must be of.
 * @returns undefined for anything that is not the head of this picture in this format, or was damaged.
 */
export function readHead(head: Uint8Array, key: string): PictureHead | undefined {
  if (head.length < HEAD_BYTES) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, HEAD_BYTES);
  const numbers = Array.from({ length: FIELDS + 1 }, (_, place) => view.getUint32(place * 4, true));
  const sum = numbers.pop();
  const expected = [MAGIC, FORMAT_VERSION, ...keyWords(key)];
  if (sum !== crc32Of(head.subarray(0, FIELDS * 4)) || expected.some((value, place) => numbers[place] !== value)) {
    return undefined;
  }
  const [rowCount = 0, jpegBytes = 0, areaBytes = 0, rimBytes = 0, faceBytes = 0, hiddenBytes = 0, ...crcs] =
    numbers.slice(expected.length);
  const [mainCrc = 0, faceCrc = 0, hiddenCrc = 0] = crcs;
  const mainBytes = rowCount * ROW_VALUE_BYTES + jpegBytes + areaBytes + rimBytes;
  const faceAt = HEAD_BYTES + mainBytes;
  return {
    ...{ rowCount, jpegBytes, areaBytes, rimBytes },
    main: { start: HEAD_BYTES, byteLength: mainBytes, crc: mainCrc },
    face: { start: faceAt, byteLength: faceBytes, crc: faceCrc },
    hiddenFace: { start: faceAt + faceBytes, byteLength: hiddenBytes, crc: hiddenCrc },
  };
}

/** The arrays of the main part, without a copy. @param memory holds it from `offset` on, a multiple of 4. */
export function viewMain(head: PictureHead, memory: ArrayBufferLike, offset: number) {
  const jpegAt = offset + head.rowCount * ROW_VALUE_BYTES;
  const areaAt = jpegAt + head.jpegBytes;
  return {
    rows: new Int32Array(memory, offset, head.rowCount),
    jpeg: new Uint8Array(memory, jpegAt, head.jpegBytes),
    area: new Uint8Array(memory, areaAt, head.areaBytes),
    rim: new Uint8Array(memory, areaAt + head.areaBytes, head.rimBytes),
  };
}

export function crc32Of(bytes: Uint8Array): number {
  return crc32(bytes);
}

function writeHead(file: Uint8Array, numbers: readonly number[]): void {
  const view = new DataView(file.buffer, file.byteOffset, HEAD_BYTES);
  for (const [place, value] of numbers.entries()) view.setUint32(place * 4, value, true);
  view.setUint32(FIELDS * 4, crc32Of(file.subarray(0, FIELDS * 4)), true);
}

/** The first 12 bytes of the key. */
function keyWords(key: string): number[] {
  return [0, 8, 16].map((start) => Number.parseInt(key.slice(start, start + 8), 16));
}

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
