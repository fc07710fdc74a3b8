/**
 * The file of one prepared picture. A head of 128 bytes, then three parts, each with its own checksum in the head:
 * what the compositor needs (`rows`, `jpeg`, `area`, `rim`, `weights`, one after the other), the face that the network sees, and
 * the face for the channels in which the mouth is hidden, where the avatar has one. Numbers are little-endian.
 */

import { crc32 } from 'node:zlib';
import { type AreaLayout, leaveGapsOut } from '../compositor/area-layout.ts';
import type { PreparedJpeg } from '../compositor/contract.ts';

/**
 * Another number whenever the same sources come to give other bytes: part of the key of every picture. One with weights
 * has a version of its own, whose head has one number more, so that all others are what they were before there were any.
 */
export const FORMAT_VERSION = 1;
export const WEIGHTED_VERSION = 2;
export const HEAD_BYTES = 128;
/** "LFPP", read as a number. */
const MAGIC = 0x5050_464c;
const ROW_VALUE_BYTES = 4;

/** What a prepared picture is made of. */
export interface PictureParts extends PreparedJpeg {
  readonly area: Uint8Array;
  readonly rim: Uint8Array;
  /** See `MouthPicture`. */
  readonly weights: Uint8Array | undefined;
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
  /** 0 where there are none. */
  readonly weightBytes: number;
  /** `rows`, `jpeg`, `area`, `rim` and `weights`. */
  readonly main: PartPlace;
  readonly face: PartPlace;
  /** Empty where there is none. */
  readonly hiddenFace: PartPlace;
}

const VERSION_PLACE = 1;
/** Numbers of the head before the checksum of them all, by version. */
const FIELDS: Readonly<Record<number, number>> = { [FORMAT_VERSION]: 14, [WEIGHTED_VERSION]: 15 };
const NONE = new Uint8Array(0);

/** The whole file. @param key of the picture, 32 hex digits: it names its file, and stands in it. */
export function toFile(key: string, parts: PictureParts): Uint8Array {
  const { rows, jpeg, area, rim, weights = NONE, face, hiddenFace = NONE } = parts;
  const mainBytes = rows.byteLength + jpeg.length + area.length + rim.length + weights.length;
  const file = new Uint8Array(HEAD_BYTES + mainBytes + face.length + hiddenFace.length);
  let at = HEAD_BYTES;
  for (const part of [bytesOf(rows), jpeg, area, rim, weights, face, hiddenFace]) {
    file.set(part, at);
    at += part.length;
  }
  const faceAt = HEAD_BYTES + mainBytes;
  const hiddenAt = faceAt + face.length;
  const sums = [file.subarray(HEAD_BYTES, faceAt), file.subarray(faceAt, hiddenAt), file.subarray(hiddenAt)].map(
    crc32Of,
  );
  const lengths = [rows.length, jpeg.length, area.length, rim.length, face.length, hiddenFace.length];
  const isWeighted = weights.length > 0;
  const version = isWeighted ? WEIGHTED_VERSION : FORMAT_VERSION;
  const more = isWeighted ? [weights.length] : [];
  writeHead(file, [MAGIC, version, ...keyWords(key), ...lengths, ...sums, ...more]);
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
  const fields = FIELDS[view.getUint32(VERSION_PLACE * 4, true)];
  if (fields === undefined) return undefined;
  const numbers = Array.from({ length: fields }, (_, place) => view.getUint32(place * 4, true));
  const expected = [MAGIC, numbers[VERSION_PLACE], ...keyWords(key)];
  const isRight = view.getUint32(fields * 4, true) === crc32Of(head.subarray(0, fields * 4));
  if (!isRight || expected.some((value, place) => numbers[place] !== value)) return undefined;
  const [rowCount = 0, jpegBytes = 0, areaBytes = 0, rimBytes = 0, faceBytes = 0, hiddenBytes = 0, ...rest] =
    numbers.slice(expected.length);
  const [mainCrc = 0, faceCrc = 0, hiddenCrc = 0, weightBytes = 0] = rest;
  const mainBytes = rowCount * ROW_VALUE_BYTES + jpegBytes + areaBytes + rimBytes + weightBytes;
  const faceAt = HEAD_BYTES + mainBytes;
  return {
    ...{ rowCount, jpegBytes, areaBytes, rimBytes, weightBytes },
    main: { start: HEAD_BYTES, byteLength: mainBytes, crc: mainCrc },
    face: { start: faceAt, byteLength: faceBytes, crc: faceCrc },
    hiddenFace: { start: faceAt + faceBytes, byteLength: hiddenBytes, crc: hiddenCrc },
  };
}

/** Bytes that `takeMain` takes. @param area of the picture, as all that follow. */
export function bytesToTake({ main, areaBytes }: PictureHead, area: AreaLayout): number {
  return main.byteLength - areaBytes + area.byteLength;
}

/**
 * The arrays of the main part, of the area what frames show of it.
 * @param main the part of the file.
 * @param memory receives them: `bytesToTake`.
 */
export function takeMain(head: PictureHead, main: Uint8Array, area: AreaLayout, memory: ArrayBufferLike) {
  const jpegAt = head.rowCount * ROW_VALUE_BYTES;
  const areaAt = jpegAt + head.jpegBytes;
  const rimAt = areaAt + area.byteLength;
  const weightsAt = rimAt + head.rimBytes;
  const taken = {
    rows: new Int32Array(memory, 0, head.rowCount),
    jpeg: new Uint8Array(memory, jpegAt, head.jpegBytes),
    area: new Uint8Array(memory, areaAt, area.byteLength),
    rim: new Uint8Array(memory, rimAt, head.rimBytes),
    ...(head.weightBytes > 0 ? { weights: new Uint8Array(memory, weightsAt, head.weightBytes) } : {}),
  };
  const restAt = areaAt + head.areaBytes;
  new Uint8Array(memory).set(main.subarray(0, areaAt));
  leaveGapsOut(area, main.subarray(areaAt, restAt), taken.area);
  new Uint8Array(memory).set(main.subarray(restAt), rimAt);
  return taken;
}

export function crc32Of(bytes: Uint8Array): number {
  return crc32(bytes);
}

function writeHead(file: Uint8Array, numbers: readonly number[]): void {
  const view = new DataView(file.buffer, file.byteOffset, HEAD_BYTES);
  for (const [place, value] of numbers.entries()) view.setUint32(place * 4, value, true);
  view.setUint32(numbers.length * 4, crc32Of(file.subarray(0, numbers.length * 4)), true);
}

/** The first 12 bytes of the key. */
function keyWords(key: string): number[] {
  return [0, 8, 16].map((start) => Number.parseInt(key.slice(start, start + 8), 16));
}

function bytesOf(values: Int32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
