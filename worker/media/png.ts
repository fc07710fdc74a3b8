import { planeLayout } from '../compositor/planes.ts';
import type { RgbImage } from '../pipeline/contract.ts';

/** Of zlib's scale, 1 to 9: more takes several times as long and saves a few percent. */
const COMPRESSION = 3;

/**
 * Encodes a picture as PNG, without any loss. The same picture gives the same bytes.
 * @param alpha laid out as the plane of Y is (`alphaBytes`); absent: the PNG has none.
 */
export async function encodePng({ width, height, data }: RgbImage, alpha?: Uint8Array): Promise<Buffer> {
  const { default: sharp } = await import('sharp');
  const pixels = alpha ? withAlpha(data, alpha, width, height) : data;
  const raw = { width, height, channels: alpha ? 4 : 3 } as const;
  return await sharp(pixels, { raw }).png({ compressionLevel: COMPRESSION }).toBuffer();
}

/** RGB and alpha → RGBA. */
function withAlpha(rgb: Uint8Array, alpha: Uint8Array, width: number, height: number): Uint8Array {
  const { width: stride } = planeLayout({ width, height });
  const rgba = new Uint8Array(width * height * 4);
  let [from, to] = [0, 0];
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      rgba[to++] = rgb[from++] as number;
      rgba[to++] = rgb[from++] as number;
      rgba[to++] = rgb[from++] as number;
      rgba[to++] = alpha[row * stride + column] as number;
    }
  }
  return rgba;
}
