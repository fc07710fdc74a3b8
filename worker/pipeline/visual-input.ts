/**
 * Background and crop rect → what the network sees of one frame: the face as it is, and the face with the mouth hidden.
 */

import { resizeBicubic } from './bicubic.ts';
import { type AvatarFrames, CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';

/** The hidden area begins this many pixels from the left and the top of the picture … */
const MASK_INSET = 5;
/** … and its last column is S − 6, its last row S − 11. */
const MASK_LAST_X_FROM_END = 6;
const MASK_LAST_Y_FROM_END = 11;

const SCALED = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** An empty (S+8)² picture for `fillCrop` to fill. */
export function makeCrop(size: NetworkSize): RgbImage {
  const side = size + 2 * CROP_MARGIN;
  return { width: side, height: side, data: new Uint8Array(side * side * 3) };
}

/**
 * Fills the crop of a frame: with what its rect cuts out of the background, and on top of that the picture of the face,
 * where the avatar has one.
 * @param crop (S+8)², overwritten.
 */
export function fillCrop(
  crop: RgbImage,
  avatar: Pick<AvatarFrames, 'rect' | 'crop'>,
  index: number,
  background: RgbImage,
  face: RgbImage | undefined,
): void {
  if (face?.width !== crop.width) {
    const cut = () => {
      const made = { ...crop, data: new Uint8Array(crop.data.length) };
      cutCrop(background, avatar.rect(index), made);
      return made;
    };
    crop.data.set((avatar.crop?.(index, cut) ?? cut()).data);
  }
  if (face) layFace(face, crop);
}

/** Fills `crop` with `rect` of `background`, bicubic. `rect` is not empty and lies inside the background. */
export function cutCrop(background: RgbImage, rect: Rect, crop: RgbImage): void {
  resizeBicubic(background, rect, crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height });
}

/** Lays a picture of the face, (S+8)² or S², on the middle of the crop. */
function layFace(face: RgbImage, crop: RgbImage): void {
  const margin = (crop.width - face.width) / 2;
  for (let y = 0; y < face.height; y++) {
    const row = face.data.subarray(y * face.width * 3, (y + 1) * face.width * 3);
    crop.data.set(row, ((y + margin) * crop.width + margin) * 3);
  }
}

/**
 * Writes the visual input of one frame, [6, S, S], BGR 0…1: the inner S×S of the crop in channels 0–2; the same, or
 * `roi` where it is given, in 3–5 with x 5…S−6, y 5…S−11 black.
 * @param crop (S+8)² RGB; S is `size`.
 * @param input receives 6·S² floats from `offset` on.
 * @param roi S² RGB.
 */
export function writeVisualInput(
  crop: RgbImage,
  size: NetworkSize,
  input: Float32Array,
  offset: number,
  roi?: RgbImage,
): void {
  const plane = size * size;
  writePlanes(crop, size, input, offset);
  if (roi) writePlanes(roi, size, input, offset + 3 * plane);
  else input.copyWithin(offset + 3 * plane, offset, offset + 3 * plane);
  for (let channel = 3; channel < 6; channel++) hideMouth(input, offset + channel * plane, size);
}

/** The inner S×S of a picture as three planes, BGR 0…1. */
function writePlanes(picture: RgbImage, size: NetworkSize, input: Float32Array, offset: number): void {
  const plane = size * size;
  const margin = (picture.width - size) / 2;
  for (let y = 0; y < size; y++) {
    let from = ((y + margin) * picture.width + margin) * 3;
    const rowStart = offset + y * size;
    for (let to = rowStart; to < rowStart + size; to++, from += 3) {
      input[to] = SCALED[picture.data[from + 2] as number] as number;
      input[to + plane] = SCALED[picture.data[from + 1] as number] as number;
      input[to + 2 * plane] = SCALED[picture.data[from] as number] as number;
    }
  }
}

function hideMouth(input: Float32Array, planeStart: number, size: NetworkSize): void {
  for (let y = MASK_INSET; y <= size - MASK_LAST_Y_FROM_END; y++) {
    const row = planeStart + y * size;
    input.fill(0, row + MASK_INSET, row + size - MASK_LAST_X_FROM_END + 1);
  }
}
