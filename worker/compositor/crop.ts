/** A crop in two parts: the network's picture in its middle, and the rim around it, which stays the background's. */
import { CROP_MARGIN, mouthBytes, type NetworkSize, type Rect, type RgbImage } from '../pipeline/contract.ts';
import { rimBytes } from './contract.ts';

const CHANNELS = 3;

/** S of a mouth of [S, S, 3]. @throws RangeError for any other length than that of 160 or 320. */
export function sizeOfMouth(mouth: Uint8Array): NetworkSize {
  const size = ([160, 320] as const).find((side) => mouthBytes(side) === mouth.length);
  if (size === undefined) throw new RangeError(`A mouth of ${mouth.length} bytes is no picture of a network.`);
  return size;
}

/** S of a rim and a mouth. @throws RangeError when they are not those of one network. */
export function sizeOfCrop(rim: Uint8Array, mouth: Uint8Array): NetworkSize {
  const size = sizeOfMouth(mouth);
  if (rim.length === rimBytes(size)) return size;
  throw new RangeError(`A rim of ${rim.length} bytes does not go around a mouth of ${size}x${size}.`);
}

/** The rim of an (S+8)² crop, see `rimBytes`. */
export function cutRim(crop: RgbImage): Uint8Array {
  const size = (crop.width - 2 * CROP_MARGIN) as NetworkSize;
  const rim = new Uint8Array(rimBytes(size));
  eachRimPiece(size, (inCrop, inRim, length) => {
    rim.set(crop.data.subarray(inCrop, inCrop + length), inRim);
  });
  return rim;
}

/** Rim and mouth → the crop, (S+8)² RGB. @param crop receives it. @throws RangeError as `sizeOfCrop` does. */
export function joinCrop(rim: Uint8Array, mouth: Uint8Array, crop: Uint8Array): void {
  const size = sizeOfCrop(rim, mouth);
  eachRimPiece(size, (inCrop, inRim, length) => {
    crop.set(rim.subarray(inRim, inRim + length), inCrop);
  });
  const side = size + 2 * CROP_MARGIN;
  for (let row = 0; row < size; row++) {
    const line = mouth.subarray(row * size * CHANNELS, (row + 1) * size * CHANNELS);
    crop.set(line, ((row + CROP_MARGIN) * side + CROP_MARGIN) * CHANNELS);
  }
}

/** A part of a picture: RGB, row-major, no padding. */
export function cutOut({ data, width }: RgbImage, { x1, y1, x2, y2 }: Rect): Uint8Array {
  const line = (x2 - x1) * CHANNELS;
  const cut = new Uint8Array(line * (y2 - y1));
  for (let y = y1; y < y2; y++) {
    const from = (y * width + x1) * CHANNELS;
    cut.set(data.subarray(from, from + line), (y - y1) * line);
  }
  return cut;
}

/** Calls `visit` for each piece of the rim that lies in one row: its places in crop and rim, and its bytes. */
function eachRimPiece(size: NetworkSize, visit: (inCrop: number, inRim: number, length: number) => void): void {
  const side = size + 2 * CROP_MARGIN;
  const [line, end] = [side * CHANNELS, CROP_MARGIN * CHANNELS];
  let inRim = 0;
  for (let row = 0; row < side; row++) {
    const whole = row < CROP_MARGIN || row >= CROP_MARGIN + size;
    const pieces = whole
      ? [[0, line]]
      : [
          [0, end],
          [line - end, end],
        ];
    for (const [start, length] of pieces as [number, number][]) {
      visit(row * line + start, inRim, length);
      inRim += length;
    }
  }
}
