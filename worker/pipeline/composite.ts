/** The network's picture of a mouth → the finished frame. */

import { resizeBicubic } from './bicubic.ts';
import type { NetworkSize, Rect, RgbImage } from './contract.ts';
import { putMouth } from './picture-floats.ts';

/**
 * A copy of the background with the network's picture in `rect`. The network's picture fills only the inner S×S of the
 * crop; the 4-pixel rim stays the background's, which hides the seam.
 * @param output holds [3, S, S], BGR 0…1 (clamped here), from `offset` on.
 * @param crop (S+8)² RGB cut from `rect` of this background; overwritten.
 * @param background not changed.
 * @param data becomes the picture's pixels, as many bytes as the background has; its contents do not matter.
 */
export function compositeFrame(
  output: Float32Array,
  offset: number,
  size: NetworkSize,
  crop: RgbImage,
  background: RgbImage,
  rect: Rect,
  data: Uint8Array,
): RgbImage {
  putMouth(output, offset, size, crop);
  const frame = { width: background.width, height: background.height, data };
  data.set(background.data);
  resizeBicubic(crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height }, frame, rect);
  return frame;
}
