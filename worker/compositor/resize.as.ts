/**
 * Bicubic resize of RGB. ../pipeline/bicubic.ts defines what it does, in f64. Here it is done in f32, rows first, which
 * is less than 0.0003 off; a value that lies so near the middle between two bytes that it could round to the wrong one
 * is computed again exactly as defined. So all bytes are the same.
 */
import {
  BLENDED_ROW,
  COLUMN_TAPS,
  FIRST_TAPS,
  ROW_TAPS,
  SOURCE_ROW_BYTES,
  SOURCE_ROWS,
  TARGET_ROW,
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
  for (let row = 0; row < targetHeight; row++) {
    blendRows(row);
    resizeRow(targetWidth);
    storeRow(to + (row as usize) * toStride, row, targetWidth * 3);
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
  const at = SOURCE_ROWS + (slot as usize) * SOURCE_ROW_BYTES;
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

/** Four source rows → BLENDED_ROW. */
function blendRows(row: i32): void {
  const first = firstTap(ROW_TAPS, row);
  let a = sourceRow(clamped(first, sourceHeight));
  let b = sourceRow(clamped(first + 1, sourceHeight));
  let c = sourceRow(clamped(first + 2, sourceHeight));
  let d = sourceRow(clamped(first + 3, sourceHeight));
  const weights = ROW_TAPS + WEIGHTS32 + ((row as usize) << 4);
  const wa = v128.load32_splat(weights), wb = v128.load32_splat(weights, 4);
  const wc = v128.load32_splat(weights, 8), wd = v128.load32_splat(weights, 12);
  let to = BLENDED_ROW + PADDING * PIXEL;
  const last = to + ((sourceWidth * 3) as usize << 2);
  while (to < last) {
    v128.store(to, blend(v128.load(a), v128.load(b), v128.load(c), v128.load(d), wa, wb, wc, wd));
    v128.store(
      to, blend(v128.load(a, 16), v128.load(b, 16), v128.load(c, 16), v128.load(d, 16), wa, wb, wc, wd), 16,
    );
    a += 32; b += 32; c += 32; d += 32; to += 32;
  }
  padRow(last);
}

@inline
function blend(a: v128, b: v128, c: v128, d: v128, wa: v128, wb: v128, wc: v128, wd: v128): v128 {
  return v128.add<f32>(
    v128.add<f32>(v128.mul<f32>(a, wa), v128.mul<f32>(b, wb)),
    v128.add<f32>(v128.mul<f32>(c, wc), v128.mul<f32>(d, wd)),
  );
}

function padRow(last: usize): void {
  for (let i: usize = 0; i < PADDING; i++) {
    memory.copy(BLENDED_ROW + i * PIXEL, BLENDED_ROW + PADDING * PIXEL, PIXEL);
    memory.copy(last + i * PIXEL, last - PIXEL, PIXEL);
  }
}

/** BLENDED_ROW → TARGET_ROW. A vector holds a pixel and a value of the next, which the next overwrites. */
function resizeRow(targetWidth: i32): void {
  let to = TARGET_ROW;
  let weights = COLUMN_TAPS + WEIGHTS32;
  let first = COLUMN_TAPS + FIRST_TAPS;
  for (let column = 0; column < targetWidth; column++) {
    const at = BLENDED_ROW + ((load<i32>(first) + (PADDING as i32)) as usize) * PIXEL;
    const value = blend(
      v128.load(at), v128.load(at, 12), v128.load(at, 24), v128.load(at, 36),
      v128.load32_splat(weights), v128.load32_splat(weights, 4),
      v128.load32_splat(weights, 8), v128.load32_splat(weights, 12),
    );
    v128.store(to, value);
    to += PIXEL;
    weights += 16;
    first += 4;
  }
}

/** TARGET_ROW → `values` bytes at `to`. */
function storeRow(to: usize, row: i32, values: i32): void {
  for (let i = 0; i < values; i += 16) {
    const at = TARGET_ROW + ((i as usize) << 2);
    const a = v128.load(at), b = v128.load(at, 16), c = v128.load(at, 32), d = v128.load(at, 48);
    const ra = v128.nearest<f32>(a), rb = v128.nearest<f32>(b), rc = v128.nearest<f32>(c), rd = v128.nearest<f32>(d);
    const low = v128.narrow<i32>(i32x4.trunc_sat_f32x4_s(ra), i32x4.trunc_sat_f32x4_s(rb));
    const high = v128.narrow<i32>(i32x4.trunc_sat_f32x4_s(rc), i32x4.trunc_sat_f32x4_s(rd));
    const bytes = i8x16.narrow_i16x8_u(low, high);
    const unsure = v128.or(v128.or(farOff(a, ra), farOff(b, rb)), v128.or(farOff(c, rc), farOff(d, rd)));
    const count = min(values - i, 16);
    if (count == 16) v128.store(to + i, bytes);
    else {
      v128.store(TARGET_ROW, bytes);
      memory.copy(to + i, TARGET_ROW, count);
      // The row's first floats are overwritten, but they have been stored.
    }
    if (v128.any_true(unsure)) storeExactly(to + i, row, i, count);
  }
}

@inline
function farOff(value: v128, rounded: v128): v128 {
  return v128.gt<f32>(v128.abs<f32>(v128.sub<f32>(value, rounded)), f32x4.splat(SURE));
}

/** Values [start, start + count) of a row, as defined. */
function storeExactly(to: usize, row: i32, start: i32, count: i32): void {
  for (let i = 0; i < count; i++) {
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
