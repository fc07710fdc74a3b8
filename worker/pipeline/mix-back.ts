/** Two pictures → their mixture, by a weight for each pixel. */

import type { Rect, RgbImage } from './contract.ts';

const CHANNELS = 3;
/** The weight that leaves nothing of what lay there before, and the half of it, rounded down: it is odd. */
const WHOLE = 255;
const HALF = 127;

/**
 * Mixes what lay in `rect` before with what lies there now: weight 255 leaves a pixel as it is now, 0 makes it what it
 * was. Rounded to the nearest.
 * @param before of the same size as `now`, whose pixels in the rect change.
 * @param weights one for each pixel of the rect, row-major.
 */
export function mixBack(before: RgbImage, now: RgbImage, rect: Rect, weights: Uint8Array): void {
  const columns = (rect.x2 - rect.x1) * CHANNELS;
  for (let y = rect.y1; y < rect.y2; y++) {
    const start = (y * now.width + rect.x1) * CHANNELS;
    const line = ((y - rect.y1) * columns) / CHANNELS;
    for (let column = 0; column < columns; column++) {
      const weight = weights[line + Math.floor(column / CHANNELS)] as number;
      const [old, mouth] = [before.data[start + column] as number, now.data[start + column] as number];
      now.data[start + column] = Math.floor((mouth * weight + old * (WHOLE - weight) + HALF) / WHOLE);
    }
  }
}
