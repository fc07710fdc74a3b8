/**
 * Bicubic resize of 8-bit RGB as OpenCV's `resize(…, INTER_CUBIC)` does it on x86: a = −0.75, half-pixel centres, the
 * edge repeated, no antialiasing when shrinking, floating-point weights, rounded once at the end (half to even). Reads
 * from a rect of one picture and writes into a rect of another; pixels outside the two are neither read nor written.
 */
import type { Rect, RgbImage } from './contract.ts';

const A = -0.75;
const TAPS = 4;
const CHANNELS = 3;
const TABLES_KEPT = 512;

/** For every target position its four source positions (clamped to the source) and their weights. */
interface ResizeTable {
  readonly positions: Int32Array;
  readonly weights: Float64Array;
}

const tables = new Map<string, ResizeTable>();

/** The last four horizontally resized source rows; row y is in slot y mod 4. */
let rowSlots = makeRowSlots(0);
const slotRow = new Int32Array(TAPS);

/**
 * Resizes `sourceRect` of `source` to fill `targetRect` of `target`. Both rects lie inside their pictures and are not
 * empty; `source` and `target` are different pictures.
 */
export function resizeBicubic(source: RgbImage, sourceRect: Rect, target: RgbImage, targetRect: Rect): void {
  const columns = tableFor(sourceRect.x2 - sourceRect.x1, targetRect.x2 - targetRect.x1);
  const rows = tableFor(sourceRect.y2 - sourceRect.y1, targetRect.y2 - targetRect.y1);
  const width = (targetRect.x2 - targetRect.x1) * CHANNELS;
  if ((rowSlots[0] as Float64Array).length < width) rowSlots = makeRowSlots(width);
  slotRow.fill(-1);
  // A clamped array rounds half to even and clamps as it stores.
  const pixels = new Uint8ClampedArray(target.data.buffer, target.data.byteOffset, target.data.length);
  for (let row = 0; row < targetRect.y2 - targetRect.y1; row++) {
    for (let tap = 0; tap < TAPS; tap++) {
      const sourceRow = rows.positions[row * TAPS + tap] as number;
      const slot = sourceRow % TAPS;
      if (slotRow[slot] === sourceRow) continue;
      const start = ((sourceRect.y1 + sourceRow) * source.width + sourceRect.x1) * CHANNELS;
      resizeRow(source.data, start, columns, rowSlots[slot] as Float64Array, width);
      slotRow[slot] = sourceRow;
    }
    const start = ((targetRect.y1 + row) * target.width + targetRect.x1) * CHANNELS;
    blendRows(rows, row * TAPS, pixels, start, width);
  }
}

/** One source row, resized to `width` values. */
function resizeRow(
  source: Uint8Array,
  start: number,
  columns: ResizeTable,
  resized: Float64Array,
  width: number,
): void {
  const { positions, weights } = columns;
  let at = 0;
  for (let to = 0; to < width; to += CHANNELS, at += TAPS) {
    const p0 = start + (positions[at] as number) * CHANNELS;
    const p1 = start + (positions[at + 1] as number) * CHANNELS;
    const p2 = start + (positions[at + 2] as number) * CHANNELS;
    const p3 = start + (positions[at + 3] as number) * CHANNELS;
    const w0 = weights[at] as number;
    const w1 = weights[at + 1] as number;
    const w2 = weights[at + 2] as number;
    const w3 = weights[at + 3] as number;
    for (let channel = 0; channel < CHANNELS; channel++) {
      resized[to + channel] =
        (source[p0 + channel] as number) * w0 +
        (source[p1 + channel] as number) * w1 +
        (source[p2 + channel] as number) * w2 +
        (source[p3 + channel] as number) * w3;
    }
  }
}

/** One target row from four resized rows. */
function blendRows(rows: ResizeTable, at: number, target: Uint8ClampedArray, start: number, width: number): void {
  const { positions, weights } = rows;
  const r0 = rowSlots[(positions[at] as number) % TAPS] as Float64Array;
  const r1 = rowSlots[(positions[at + 1] as number) % TAPS] as Float64Array;
  const r2 = rowSlots[(positions[at + 2] as number) % TAPS] as Float64Array;
  const r3 = rowSlots[(positions[at + 3] as number) % TAPS] as Float64Array;
  const w0 = weights[at] as number;
  const w1 = weights[at + 1] as number;
  const w2 = weights[at + 2] as number;
  const w3 = weights[at + 3] as number;
  for (let i = 0; i < width; i++) {
    target[start + i] =
      (r0[i] as number) * w0 + (r1[i] as number) * w1 + (r2[i] as number) * w2 + (r3[i] as number) * w3;
  }
}

function makeRowSlots(width: number): Float64Array[] {
  return Array.from({ length: TAPS }, () => new Float64Array(width));
}

function tableFor(from: number, to: number): ResizeTable {
  const key = `${from}>${to}`;
  const known = tables.get(key);
  if (known) return known;
  if (tables.size >= TABLES_KEPT) tables.clear();
  const table = makeTable(from, to);
  tables.set(key, table);
  return table;
}

function makeTable(from: number, to: number): ResizeTable {
  const positions = new Int32Array(to * TAPS);
  const weights = new Float64Array(to * TAPS);
  const scale = 1 / (to / from);
  for (let target = 0; target < to; target++) {
    const centre = Math.fround((target + 0.5) * scale - 0.5);
    const nearest = Math.floor(centre);
    const tapWeights = cubicWeights(Math.fround(centre - nearest));
    for (let tap = 0; tap < TAPS; tap++) {
      positions[target * TAPS + tap] = Math.min(Math.max(nearest - 1 + tap, 0), from - 1);
      weights[target * TAPS + tap] = tapWeights[tap] as number;
    }
  }
  return { positions, weights };
}

/** Weights of the pixels at −1, 0, 1 and 2 for a point `x` (0 … 1) after pixel 0. */
function cubicWeights(x: number): number[] {
  const before = ((A * (x + 1) - 5 * A) * (x + 1) + 8 * A) * (x + 1) - 4 * A;
  const left = ((A + 2) * x - (A + 3)) * x * x + 1;
  const right = ((A + 2) * (1 - x) - (A + 3)) * (1 - x) * (1 - x) + 1;
  return [before, left, right, 1 - before - left - right];
}
