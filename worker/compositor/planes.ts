/**
 * RGB → planes of YUV 4:2:0, BT.709, limited range (Y 16…235, U and V 16…240), as H.264 takes them: the definition, in
 * plain TypeScript. `plane-converter.ts` does the same with SIMD, to the byte.
 *
 * A sample of chroma stands for two columns and two rows. It lies on the left one of the two columns, as players take
 * it to for H.264 that says nothing else, and between the two rows: so columns are weighed 1, 2, 1 and rows alike. A
 * picture with an odd side gets a black column or row more.
 */
import type { Rect, RgbImage } from '../pipeline/contract.ts';
import type { PictureSize } from './contract.ts';

/** Weights of R, G and B, times 2^15; those of U and V add up to 0, so grey has exactly 128. */
const WEIGHT_BITS = 15;
const Y_WEIGHTS = [5983, 20127, 2032] as const;
const U_WEIGHTS = [-3298, -11094, 14392] as const;
const V_WEIGHTS = [14392, -13072, -1320] as const;
/** What black and grey become. */
const Y_BLACK = 16;
const GREY = 128;
/** A sample of chroma is a sum of pixels with weights that add up to 8. */
const CHROMA_BITS = WEIGHT_BITS + 3;

type Weights = readonly [r: number, g: number, b: number];

/** Y, then U, then V, without gaps: what ffmpeg calls `yuv420p`. */
export interface PlaneLayout {
  /** Columns and rows of Y: the picture's, rounded up to even numbers. U and V have half of each. */
  readonly width: number;
  readonly height: number;
  /** Where U and V begin. */
  readonly uAt: number;
  readonly vAt: number;
  readonly byteLength: number;
}

export function planeLayout(picture: PictureSize): PlaneLayout {
  const width = picture.width + (picture.width % 2);
  const height = picture.height + (picture.height % 2);
  const uAt = width * height;
  return { width, height, uAt, vAt: uAt + uAt / 4, byteLength: uAt + uAt / 2 };
}

/** Bytes of a plane of alpha: one for each of Y. */
export function alphaBytes(picture: PictureSize): number {
  return planeLayout(picture).uAt;
}

/** Writes alpha, a byte a pixel, into a plane laid out as that of Y; a column or row more is transparent. */
export function padAlpha(alpha: Uint8Array, picture: PictureSize, plane: Uint8Array): void {
  const { width } = planeLayout(picture);
  plane.fill(0);
  for (let row = 0; row < picture.height; row++) {
    plane.set(alpha.subarray(row * picture.width, (row + 1) * picture.width), row * width);
  }
}

/**
 * Converts the pixels of an area and writes them into the planes of the whole picture. With the area of a mouth
 * (`mouthArea`) the planes of its background become those of the whole frame, to the byte. The first column of chroma
 * also depends on the pixel to the left of the area, and is left as it is unless the picture begins there.
 * @param pixels RGB of the area alone.
 * @param area its left and top in the picture, even. Right and bottom are even or the picture's.
 * @param planes laid out as `planeLayout(picture)` says.
 */
export function convertArea(
  pixels: RgbImage,
  area: Pick<Rect, 'x1' | 'y1'>,
  picture: PictureSize,
  planes: Uint8Array,
): void {
  const { width, uAt, vAt } = planeLayout(picture);
  const { width: columns, height: rows } = planeLayout(pixels);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const luma = weighed(pixels, Y_WEIGHTS, [[x, y, 1]]);
      planes[(area.y1 + y) * width + area.x1 + x] = scaled(luma, WEIGHT_BITS, Y_BLACK);
    }
  }
  for (let y = 0; y < rows; y += 2) {
    for (let x = area.x1 === 0 ? 0 : 2; x < columns; x += 2) {
      const at = (((area.y1 + y) / 2) * width) / 2 + (area.x1 + x) / 2;
      const parts = [y, y + 1].flatMap((row): Part[] => [
        [Math.max(0, x - 1), row, 1],
        [x, row, 2],
        [x + 1, row, 1],
      ]);
      planes[uAt + at] = scaled(weighed(pixels, U_WEIGHTS, parts), CHROMA_BITS, GREY);
      planes[vAt + at] = scaled(weighed(pixels, V_WEIGHTS, parts), CHROMA_BITS, GREY);
    }
  }
}

/** A pixel and its weight. */
type Part = readonly [x: number, y: number, weight: number];

function weighed({ width, height, data }: RgbImage, [r, g, b]: Weights, parts: readonly Part[]): number {
  let sum = 0;
  for (const [x, y, weight] of parts) {
    if (x >= width || y >= height) continue;
    const at = (y * width + x) * 3;
    sum += weight * (r * (data[at] as number) + g * (data[at + 1] as number) + b * (data[at + 2] as number));
  }
  return sum;
}

/** `sum` / 2^bits, rounded, from `zero` on: never outside of a byte, whatever the pixels are. */
function scaled(sum: number, bits: number, zero: number): number {
  return (sum + (zero << bits) + (1 << (bits - 1))) >> bits;
}
