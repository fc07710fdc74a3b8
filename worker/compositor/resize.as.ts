/**
 * Bicubic resize of RGB. ../pipeline/bicubic.ts defines what it does, in f64. Here it is done in f32, rows first, which
 * is less than 0.0003 off; a value that lies so near the middle between two bytes that it could round to the wrong one
 * is computed again exactly as defined. So all bytes are the same.
 */
import {
  BLENDED_ROWS,
  COLUMN_TAPS,
  FIRST_TAPS,
  FLOAT_ROW_BYTES,
  ROW_TAPS,
  SOURCE_ROWS,
  TARGET_ROWS,
  WEIGHTS32,
} from './layout.as';

const A: f64 = -0.75;
/** Pixels that repeat at both ends of the blended row, so that four neighbours always lie side by side. */
const PADDING: usize = 2;
const PIXEL: usize = 12;
/** Farthest that a value in f32 may be from the byte it rounds to. */
const SURE: f32 = 0.4995;

let source: usize = 0;
let sourceStride: usize = 0;
let sourceWidth: i32 = 0;
let sourceHeight: i32 = 0;
/** The source row in each of the four slots: row y is in slot y mod 4. */
let slot0: i32 = -1;
let slot1: i32 = -1;
let slot2: i32 = -1;
let slot3: i32 = -1;

/** Resizes width × height pixels at `from` to targetWidth × targetHeight pixels at `to`; strides in bytes. */
export function resize(
  from: usize, fromStride: usize, width: i32, height: i32,
  to: usize, toStride: usize, targetWidth: i32, targetHeight: i32,
): void {
  source = from;
  sourceStride = fromStride;
  sourceWidth = width;
  sourceHeight = height;
  slot0 = slot1 = slot2 = slot3 = -1;
  makeTaps(COLUMN_TAPS, width, targetWidth);
  makeTaps(ROW_TAPS, height, targetHeight);
  // Two rows at a time share the loads of the columns' weights.
  for (let row = 0; row < targetHeight; row += 2) {
    const two = row + 1 < targetHeight;
    blendRows(row, BLENDED_ROWS);
    const first = to + (row as usize) * toStride;
    if (two) blendRows(row + 1, BLENDED_ROWS + FLOAT_ROW_BYTES);
    resizeRows(targetWidth);
    storeRow(TARGET_ROWS, first, row, targetWidth * 3);
    if (two) storeRow(TARGET_ROWS + FLOAT_ROW_BYTES, first + toStride, row + 1, targetWidth * 3);
  }
}

function makeTaps(taps: usize, from: i32, to: i32): void {
  const scale: f64 = 1 / ((to as f64) / (from as f64));
  for (let target = 0; target < to; target++) {
    const centre = (((target as f64) + 0.5) * scale - 0.5) as f32;
    const nearest = floor<f32>(centre);
    const x = (centre - nearest) as f64;
    const before = ((A * (x + 1) - 5 * A) * (x + 1) + 8 * A) * (x + 1) - 4 * A;
    const left = ((A + 2) * x - (A + 3)) * x * x + 1;
    const right = ((A + 2) * (1 - x) - (A + 3)) * (1 - x) * (1 - x) + 1;
    const after = 1 - before - left - right;
    const at = taps + ((target as usize) << 5);
    store<f64>(at, before);
    store<f64>(at, left, 8);
    store<f64>(at, right, 16);
    store<f64>(at, after, 24);
    const rounded = taps + WEIGHTS32 + ((target as usize) << 4);
    v128.store(rounded, f32x4(before as f32, left as f32, right as f32, after as f32));
    store<i32>(taps + FIRST_TAPS + ((target as usize) << 2), (nearest as i32) - 1);
  }
}

@inline
function firstTap(taps: usize, target: i32): i32 {
  return load<i32>(taps + FIRST_TAPS + ((target as usize) << 2));
}

@inline
function clamped(position: i32, size: i32): i32 {
  return min(max(position, 0), size - 1);
}

/** Source row `row` as floats. */
function sourceRow(row: i32): usize {
  const slot = row & 3;
  const at = SOURCE_ROWS + (slot as usize) * FLOAT_ROW_BYTES;
  if (slot == 0 ? slot0 == row : slot == 1 ? slot1 == row : slot == 2 ? slot2 == row : slot3 == row) return at;
  if (slot == 0) slot0 = row;
  else if (slot == 1) slot1 = row;
  else if (slot == 2) slot2 = row;
  else slot3 = row;
  const from = source + (row as usize) * sourceStride;
  const values = (sourceWidth * 3) as usize;
  for (let i: usize = 0; i < values; i += 16) {
    const bytes = v128.load(from + i);
    const low = i16x8.extend_low_i8x16_u(bytes), high = i16x8.extend_high_i8x16_u(bytes);
    const to = at + (i << 2);
    v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)));
    v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), 16);
    v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), 32);
    v128.store(to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), 48);
  }
  return at;
}

/** Four source rows → one at `blended`. */
function blendRows(row: i32, blended: usize): void {
  const first = firstTap(ROW_TAPS, row);
  let a = sourceRow(clamped(first, sourceHeight));
  let b = sourceRow(clamped(first + 1, sourceHeight));
  let c = sourceRow(clamped(first + 2, sourceHeight));
  let d = sourceRow(clamped(first + 3, sourceHeight));
  const weights = ROW_TAPS + WEIGHTS32 + ((row as usize) << 4);
  const wa = v128.load32_splat(weights), wb = v128.load32_splat(weights, 4);
  const wc = v128.load32_splat(weights, 8), wd = v128.load32_splat(weights, 12);
  let to = blended + PADDING * PIXEL;
  const last = to + ((sourceWidth * 3) as usize << 2);
  while (to < last) {
    v128.store(to, blend(v128.load(a), v128.load(b), v128.load(c), v128.load(d), wa, wb, wc, wd));
    v128.store(
      to, blend(v128.load(a, 16), v128.load(b, 16), v128.load(c, 16), v128.load(d, 16), wa, wb, wc, wd), 16,
    );
    v128.store(
      to, blend(v128.load(a, 32), v128.load(b, 32), v128.load(c, 32), v128.load(d, 32), wa, wb, wc, wd), 32,
    );
    v128.store(
      to, blend(v128.load(a, 48), v128.load(b, 48), v128.load(c, 48), v128.load(d, 48), wa, wb, wc, wd), 48,
    );
    a += 64; b += 64; c += 64; d += 64; to += 64;
  }
  padRow(blended, last);
}

/** The sum of four products. How often it is rounded depends on the processor; `SURE` allows for either way. */
@inline
function blend(a: v128, b: v128, c: v128, d: v128, wa: v128, wb: v128, wc: v128, wd: v128): v128 {
  const ab = v128.relaxed_madd<f32>(b, wb, v128.mul<f32>(a, wa));
  return v128.relaxed_madd<f32>(d, wd, v128.relaxed_madd<f32>(c, wc, ab));
}

function padRow(blended: usize, last: usize): void {
  for (let i: usize = 0; i < PADDING; i++) {
    memory.copy(blended + i * PIXEL, blended + PADDING * PIXEL, PIXEL);
    memory.copy(last + i * PIXEL, last - PIXEL, PIXEL);
  }
}

/** BLENDED_ROWS → TARGET_ROWS. A vector holds a pixel and a value of the next, which the next overwrites. */
function resizeRows(targetWidth: i32): void {
  let to = TARGET_ROWS;
  let weights = COLUMN_TAPS + WEIGHTS32;
  let first = COLUMN_TAPS + FIRST_TAPS;
  for (let column = 0; column < targetWidth; column++) {
    const wa = v128.load32_splat(weights), wb = v128.load32_splat(weights, 4);
    const wc = v128.load32_splat(weights, 8), wd = v128.load32_splat(weights, 12);
    const at = BLENDED_ROWS + ((load<i32>(first) + (PADDING as i32)) as usize) * PIXEL;
    v128.store(
      to, blend(v128.load(at), v128.load(at, 12), v128.load(at, 24), v128.load(at, 36), wa, wb, wc, wd),
    );
    v128.store(
      to,
      blend(
        v128.load(at, FLOAT_ROW_BYTES), v128.load(at, FLOAT_ROW_BYTES + 12),
        v128.load(at, FLOAT_ROW_BYTES + 24), v128.load(at, FLOAT_ROW_BYTES + 36), wa, wb, wc, wd,
      ),
      FLOAT_ROW_BYTES,
    );
    to += PIXEL;
    weights += 16;
    first += 4;
  }
}

/** Floats at `from` → `values` bytes at `to`. */
function storeRow(from: usize, to: usize, row: i32, values: i32): void {
  for (let i = 0; i < values; i += 16) {
    const at = from + ((i as usize) << 2);
    const a = v128.load(at), b = v128.load(at, 16), c = v128.load(at, 32), d = v128.load(at, 48);
    const ra = v128.nearest<f32>(a), rb = v128.nearest<f32>(b), rc = v128.nearest<f32>(c), rd = v128.nearest<f32>(d);
    const low = v128.narrow<i32>(v128.relaxed_trunc<i32>(ra), v128.relaxed_trunc<i32>(rb));
    const high = v128.narrow<i32>(v128.relaxed_trunc<i32>(rc), v128.relaxed_trunc<i32>(rd));
    const bytes = i8x16.narrow_i16x8_u(low, high);
    const offA = distance(a, ra), offB = distance(b, rb), offC = distance(c, rc), offD = distance(d, rd);
    const farthest = v128.pmax<f32>(v128.pmax<f32>(offA, offB), v128.pmax<f32>(offC, offD));
    const count = min(values - i, 16);
    if (count == 16) v128.store(to + i, bytes);
    else {
      // Nothing beyond the row may be written. The floats that this overwrites have been stored.
      v128.store(from, bytes);
      memory.copy(to + i, from, count);
    }
    if (v128.any_true(isUnsure(farthest))) {
      const mask =
        i32x4.bitmask(isUnsure(offA)) | (i32x4.bitmask(isUnsure(offB)) << 4) |
        (i32x4.bitmask(isUnsure(offC)) << 8) | (i32x4.bitmask(isUnsure(offD)) << 12);
      storeExactly(to + i, row, i, mask & ((1 << count) - 1));
    }
  }
}

@inline
function distance(value: v128, rounded: v128): v128 {
  return v128.abs<f32>(v128.sub<f32>(value, rounded));
}

@inline
function isUnsure(distance: v128): v128 {
  return v128.gt<f32>(distance, f32x4.splat(SURE));
}

/** Those values of a row, from `start` on, that `mask` has bits for, as defined. */
function storeExactly(to: usize, row: i32, start: i32, mask: i32): void {
  for (; mask != 0; mask &= mask - 1) {
    const i = ctz(mask);
    const value = exactValue(row, (start + i) / 3, (start + i) % 3);
    store<u8>(to + i, max<f64>(min<f64>(nearest<f64>(value), 255), 0) as u8);
  }
}

function exactValue(row: i32, column: i32, channel: i32): f64 {
  const weights = ROW_TAPS + ((row as usize) << 5);
  const first = firstTap(ROW_TAPS, row);
  return (
    exactInRow(first, column, channel) * load<f64>(weights) +
    exactInRow(first + 1, column, channel) * load<f64>(weights, 8) +
    exactInRow(first + 2, column, channel) * load<f64>(weights, 16) +
    exactInRow(first + 3, column, channel) * load<f64>(weights, 24)
  );
}

function exactInRow(row: i32, column: i32, channel: i32): f64 {
  const weights = COLUMN_TAPS + ((column as usize) << 5);
  const first = firstTap(COLUMN_TAPS, column);
  const at = source + (clamped(row, sourceHeight) as usize) * sourceStride + (channel as usize);
  return (
    sourceValue(at, first) * load<f64>(weights) +
    sourceValue(at, first + 1) * load<f64>(weights, 8) +
    sourceValue(at, first + 2) * load<f64>(weights, 16) +
    sourceValue(at, first + 3) * load<f64>(weights, 24)
  );
}

@inline
function sourceValue(row: usize, position: i32): f64 {
  return load<u8>(row + (clamped(position, sourceWidth) as usize) * 3) as f64;
}
