/** RGB pixels → the samples of one MCU: twin of jpeg-mcu.as.ts. The integer arithmetic is libjpeg's. */
import { MCU_SIDE } from './contract.ts';

const CHROMA_SIDE = MCU_SIDE / 2;
const CHANNELS = 3;

/** Samples of an MCU, each less 128, row by row: 16×16 of Y, 8×8 of Cb and Cr. */
export interface McuSamples {
  readonly y: Int32Array;
  readonly cb: Int32Array;
  readonly cr: Int32Array;
}

export function makeMcuSamples(): McuSamples {
  const chroma = CHROMA_SIDE * CHROMA_SIDE;
  return { y: new Int32Array(MCU_SIDE * MCU_SIDE), cb: new Int32Array(chroma), cr: new Int32Array(chroma) };
}

/** Pixels of an MCU in a larger picture. */
export interface McuPixels {
  /** RGB, row-major. */
  readonly rgb: Uint8Array;
  /** Index in `rgb` of the MCU's first pixel. */
  readonly start: number;
  /** Bytes from one row to the next. */
  readonly stride: number;
  /** Columns and rows of the MCU that are inside the picture, 1–16. */
  readonly columns: number;
  readonly rows: number;
}

/** Fills `samples`. Right of the picture its last column repeats; below it the last row of *samples*, as in libjpeg. */
export function readMcu(pixels: McuPixels, samples: McuSamples): void {
  for (let row = 0; row < MCU_SIDE; row++) readLuma(pixels, row, samples.y);
  const chromaRows = Math.ceil(pixels.rows / 2);
  for (let row = 0; row < CHROMA_SIDE; row++) {
    const at = row * CHROMA_SIDE;
    if (row < chromaRows) {
      readChroma(pixels, row, samples);
    } else {
      samples.cb.copyWithin(at, at - CHROMA_SIDE, at);
      samples.cr.copyWithin(at, at - CHROMA_SIDE, at);
    }
  }
}

function readLuma(pixels: McuPixels, row: number, y: Int32Array): void {
  const { rgb } = pixels;
  for (let column = 0; column < MCU_SIDE; column++) {
    const at = pixelAt(pixels, column, row);
    const sum = 19595 * (rgb[at] as number) + 38470 * (rgb[at + 1] as number) + 7471 * (rgb[at + 2] as number);
    y[row * MCU_SIDE + column] = ((sum + 32768) >> 16) - 128;
  }
}

/** One row of chroma: each sample is the mean of four pixels, rounded down and up in turn. */
function readChroma(pixels: McuPixels, row: number, { cb, cr }: McuSamples): void {
  for (let column = 0; column < CHROMA_SIDE; column++) {
    let cbSum = 0;
    let crSum = 0;
    for (const [right, down] of QUAD) {
      const at = pixelAt(pixels, 2 * column + right, 2 * row + down);
      cbSum += blueness(pixels.rgb, at);
      crSum += redness(pixels.rgb, at);
    }
    const rounding = column % 2 === 0 ? 1 : 2;
    cb[row * CHROMA_SIDE + column] = ((cbSum + rounding) >> 2) - 128;
    cr[row * CHROMA_SIDE + column] = ((crSum + rounding) >> 2) - 128;
  }
}

const QUAD = [
  [0, 0],
  [1, 0],
  [0, 1],
  [1, 1],
] as const;

/** 128 in 16.16 fixed point, and just less than a half for rounding. */
const CHROMA_OFFSET = 8421375;

function blueness(rgb: Uint8Array, at: number): number {
  const sum = -11059 * (rgb[at] as number) - 21709 * (rgb[at + 1] as number) + 32768 * (rgb[at + 2] as number);
  return (sum + CHROMA_OFFSET) >> 16;
}

function redness(rgb: Uint8Array, at: number): number {
  const sum = 32768 * (rgb[at] as number) - 27439 * (rgb[at + 1] as number) - 5329 * (rgb[at + 2] as number);
  return (sum + CHROMA_OFFSET) >> 16;
}

function pixelAt({ start, stride, columns, rows }: McuPixels, column: number, row: number): number {
  return start + Math.min(row, rows - 1) * stride + Math.min(column, columns - 1) * CHANNELS;
}
