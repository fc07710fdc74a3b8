/** The network's picture of a mouth → the finished frame. */

import { resizeBicubic } from './bicubic.ts';
import { CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';

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

/** BGR 0…1 planes → the inner S×S of the crop, RGB, truncated as numpy's float32 → uint8 cast does. */
function putMouth(output: Float32Array, offset: number, size: NetworkSize, crop: RgbImage): void {
  const plane = size * size;
  const pixels = crop.data;
  for (let y = 0; y < size; y++) {
    let to = ((y + CROP_MARGIN) * crop.width + CROP_MARGIN) * 3;
    const rowStart = offset + y * size;
    for (let from = rowStart; from < rowStart + size; from++, to += 3) {
      pixels[to] = toByte(output[from + 2 * plane] as number);
      pixels[to + 1] = toByte(output[from + plane] as number);
      pixels[to + 2] = toByte(output[from] as number);
    }
  }
}

function toByte(value: number): number {
  // numpy multiplies in float32, where a product just below a whole number may become that number.
  const scaled = Math.fround(value * 255);
  return scaled <= 0 ? 0 : scaled >= 255 ? 255 : scaled | 0;
}
