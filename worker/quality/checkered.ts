/** Pictures with alpha as people look at them where there is none: in front of squares of two greys. */

import { planeLayout } from '../compositor/planes.ts';
import type { RgbImage } from '../pipeline/contract.ts';

/** Squares in a row. */
const SQUARES = 40;
const GREYS = [255, 204] as const;
const OPAQUE = 255;
const CHANNELS = 3;

/**
 * Puts squares behind a picture, in its own pixels.
 * @param alpha a byte a pixel, 255 opaque. @param stride of its rows; the picture's width when absent.
 */
export function putOnSquares({ width, height, data }: RgbImage, alpha: Uint8Array, stride = width): void {
  const side = Math.max(1, Math.round(width / SQUARES));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += CHANNELS) {
      const share = alpha[y * stride + x] as number;
      if (share === OPAQUE) continue;
      const grey = GREYS[(Math.floor(x / side) + Math.floor(y / side)) % 2] as number;
      for (let channel = at; channel < at + CHANNELS; channel++) {
        data[channel] = Math.round(((data[channel] as number) * share + grey * (OPAQUE - share)) / OPAQUE);
      }
    }
  }
}

/**
 * A frame as JPEG, in front of squares.
 * @param jpeg of its colours. @param alpha laid out as the plane of Y is.
 */
export async function onSquares(
  jpeg: Uint8Array,
  alpha: Uint8Array,
  quality: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(jpeg).raw().toBuffer({ resolveWithObject: true });
  const picture = { width: info.width, height: info.height, data };
  putOnSquares(picture, alpha, planeLayout(picture).width);
  // A copy, since sharp's own memory cannot be handed over to another thread.
  const raw = { width: info.width, height: info.height, channels: CHANNELS } as const;
  return new Uint8Array(await sharp(data, { raw }).jpeg({ quality, optimiseCoding: false }).toBuffer());
}
