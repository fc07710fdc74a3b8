/** Pictures with the properties of photographs: smooth shapes, edges, and noise that no lossless form makes small. */

import type { PictureSize } from '../../worker/avatar/picture-file.ts';

/** Largest change that the noise makes, of 255. */
const NOISE = 4;

/** Interleaved RGB; the same seed gives the same picture. */
export function photograph({ width, height }: PictureSize, seed: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 3);
  let state = (seed + 1) * 2654435761;
  for (let at = 0; at < pixels.length; at++) {
    const x = Math.floor(at / 3) % width;
    const y = Math.floor(at / (3 * width));
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const noise = ((state >>> 16) / 65536 - 0.5) * 2 * NOISE;
    const shape = 128 + 60 * Math.sin(x / 37 + seed + (at % 3)) * Math.cos(y / 29) + (x + y > width ? 30 : 0);
    pixels[at] = shape + noise;
  }
  return pixels;
}
