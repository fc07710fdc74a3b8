/** Background and crop rect → what the network sees of one frame: the face as it is, and the face with the mouth hidden. */

import { resizeBicubic } from './bicubic.ts';
import { CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';

/** The hidden area begins this far from the left and the top of the picture … */
const MASK_INSET = 5;
/** … and its last column and row are this far before the picture's size. */
const MASK_LAST_X_FROM_END = 6;
const MASK_LAST_Y_FROM_END = 11;

const SCALED = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** An empty (S+8)² picture for `cutCrop` to fill. */
export function makeCrop(size: NetworkSize): RgbImage {
  const side = size + 2 * CROP_MARGIN;
  return { width: side, height: side, data: new Uint8Array(side * side * 3) };
}

/** Fills `crop` with `rect` of `background`, bicubic. `rect` is not empty and lies inside the background. */
export function cutCrop(background: RgbImage, rect: Rect, crop: RgbImage): void {
  resizeBicubic(background, rect, crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height });
}

/** Floats in one visual input, 6·S². */
export function visualInputFloats(size: NetworkSize): number {
  return 6 * size * size;
}

/**
 * Writes the visual input of one frame, [6, S, S], BGR 0…1: the inner S×S of the crop in channels 0–2, the same in 3–5
 * with x 5…S−6, y 5…S−11 black.
 * @param crop (S+8)² RGB; S is `size`.
 * @param input receives 6·S² floats from `offset` on.
 */
export function writeVisualInput(crop: RgbImage, size: NetworkSize, input: Float32Array, offset: number): void {
  const plane = size * size;
  for (let y = 0; y < size; y++) {
    let from = ((y + CROP_MARGIN) * crop.width + CROP_MARGIN) * 3;
    const rowStart = offset + y * size;
    for (let to = rowStart; to < rowStart + size; to++, from += 3) {
      input[to] = SCALED[crop.data[from + 2] as number] as number;
      input[to + plane] = SCALED[crop.data[from + 1] as number] as number;
      input[to + 2 * plane] = SCALED[crop.data[from] as number] as number;
    }
  }
  input.copyWithin(offset + 3 * plane, offset, offset + 3 * plane);
  for (let channel = 3; channel < 6; channel++) hideMouth(input, offset + channel * plane, size);
}

function hideMouth(input: Float32Array, planeStart: number, size: NetworkSize): void {
  for (let y = MASK_INSET; y <= size - MASK_LAST_Y_FROM_END; y++) {
    const row = planeStart + y * size;
    input.fill(0, row + MASK_INSET, row + size - MASK_LAST_X_FROM_END + 1);
  }
}
