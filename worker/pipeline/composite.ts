/** A mouth and the background it belongs into → the finished frame. */

import { resizeBicubic } from './bicubic.ts';
import { CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';
import { mixBack } from './mix-back.ts';

/**
 * A copy of the background with the mouth in `rect`. The mouth fills only the inner S×S of the crop; the 4-pixel rim
 * stays the background's, which hides the seam.
 * @param mouth [S, S, 3] RGB.
 * @param crop (S+8)² RGB cut from `rect` of this background; overwritten.
 * @param background not changed.
 * @param data becomes the picture's pixels, as many bytes as the background has; its contents do not matter.
 * @param weights of the mouth in each pixel of the rect, see `mouthWeights`; all of it when absent.
 */
export function compositeFrame(
  mouth: Uint8Array,
  size: NetworkSize,
  crop: RgbImage,
  background: RgbImage,
  rect: Rect,
  data: Uint8Array,
  weights?: Uint8Array,
): RgbImage {
  for (let y = 0; y < size; y++) {
    const row = mouth.subarray(y * size * 3, (y + 1) * size * 3);
    crop.data.set(row, ((y + CROP_MARGIN) * crop.width + CROP_MARGIN) * 3);
  }
  const frame = { width: background.width, height: background.height, data };
  data.set(background.data);
  resizeBicubic(crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height }, frame, rect);
  if (weights) mixBack(background, frame, rect, weights);
  return frame;
}
