/** Mask and crop rect → how much of the mouth each pixel of the rect shows; the rest of it stays the background's. */

import { type Blend, CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';

/** All of the mouth, and nothing of it. */
const WHOLE = 255;
const NOTHING = 0;
/** A feathered mouth fades in over this part of its rect's side. */
const FEATHER_PART = 1 / 10;
const CHANNELS = 3;

/**
 * One weight for each pixel of the rect, row-major: 255 shows the mouth, 0 the background, between them both.
 * `none`: all of the mouth. `feather`: nothing of it where the network's picture begins, all of it a tenth of the
 * rect's side further in. `hidden`: nothing of it. On top of these, nothing where the mask has one of the two colours of what is not the face:
 * pure red and pure white.
 * @param mask of the whole picture that the rect lies in.
 * @returns undefined where all of the mouth is shown everywhere.
 */
export function mouthWeights(
  rect: Rect,
  size: NetworkSize,
  blend: Blend,
  mask: RgbImage | undefined,
): Uint8Array | undefined {
  const [width, height] = [rect.x2 - rect.x1, rect.y2 - rect.y1];
  const weights = new Uint8Array(width * height).fill(WHOLE);
  if (blend === 'hidden') return weights.fill(NOTHING);
  if (blend === 'feather') feather(weights, ramp(width, size), ramp(height, size));
  if (mask) takeOut(weights, rect, mask);
  return weights.some((weight) => weight !== WHOLE) ? weights : undefined;
}

/** @param columns of the rect, 0…1 each; `rows` likewise. A weight is the product of both. */
function feather(weights: Uint8Array, columns: readonly number[], rows: readonly number[]): void {
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      weights[y * columns.length + x] = Math.round(WHOLE * row * column);
    }
  }
}

/** How much each pixel of a line of `length` shows of the mouth, from edge to edge: 0…1, rising and falling smoothly. */
function ramp(length: number, size: NetworkSize): number[] {
  const edge = (CROP_MARGIN * length) / (size + 2 * CROP_MARGIN);
  return Array.from({ length }, (_, place) => {
    const inside = Math.min(place, length - 1 - place) + 0.5 - edge;
    const part = Math.min(Math.max(inside / (length * FEATHER_PART), 0), 1);
    return part * part * (3 - 2 * part);
  });
}

function takeOut(weights: Uint8Array, { x1, y1, x2, y2 }: Rect, { width, data }: RgbImage): void {
  let place = 0;
  for (let y = y1; y < y2; y++) {
    for (let at = (y * width + x1) * CHANNELS; at < (y * width + x2) * CHANNELS; at += CHANNELS, place++) {
      const isRedOrWhite = data[at] === 255 && data[at + 1] === data[at + 2];
      if (isRedOrWhite && (data[at + 1] === 0 || data[at + 1] === 255)) weights[place] = NOTHING;
    }
  }
}
