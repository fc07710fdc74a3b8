/** RGB pixels → the samples of one MCU; jpeg-mcu.ts defines what these functions do. */
import { EDGE_ROW, SAMPLES_CB, SAMPLES_CR, SAMPLES_Y } from './layout.as';
import { add16, add32, dot, factors, high16, low16, sub16 } from './simd.as';

const SIDE = 16;
const Y_ROW_BYTES: usize = 32;
const CHROMA_ROW_BYTES: usize = 16;

/** Chroma of eight columns each: the sums of two rows. */
let cbLeft: v128 = i16x8.splat(0);
let cbRight: v128 = i16x8.splat(0);
let crLeft: v128 = i16x8.splat(0);
let crRight: v128 = i16x8.splat(0);

/** columns, rows: of the MCU inside the picture, 1–16. Reads up to 48 bytes of each row. */
export function readMcu(pixels: usize, stride: usize, columns: i32, rows: i32): void {
  for (let row = 0; row < SIDE; row += 2) {
    const y = SAMPLES_Y + (row as usize) * Y_ROW_BYTES;
    const chroma = ((row as usize) >> 1) * CHROMA_ROW_BYTES;
    if (row >= rows) {
      repeatRows(y, chroma);
      continue;
    }
    const upper = pixels + (row as usize) * stride;
    const lower = row + 1 < rows ? upper + stride : upper;
    readRow(columns < SIDE ? edgeRow(upper, columns) : upper, y, false);
    readRow(columns < SIDE ? edgeRow(lower, columns) : lower, y + Y_ROW_BYTES, true);
    v128.store(SAMPLES_CB + chroma, meansOfFour(cbLeft, cbRight));
    v128.store(SAMPLES_CR + chroma, meansOfFour(crLeft, crRight));
  }
}

/** Below the picture its last row of samples repeats. */
function repeatRows(y: usize, chroma: usize): void {
  memory.copy(y, y - Y_ROW_BYTES, Y_ROW_BYTES);
  memory.copy(y + Y_ROW_BYTES, y - Y_ROW_BYTES, Y_ROW_BYTES);
  memory.copy(SAMPLES_CB + chroma, SAMPLES_CB + chroma - CHROMA_ROW_BYTES, CHROMA_ROW_BYTES);
  memory.copy(SAMPLES_CR + chroma, SAMPLES_CR + chroma - CHROMA_ROW_BYTES, CHROMA_ROW_BYTES);
}

/** A copy of the row in which the last pixel repeats. */
function edgeRow(pixels: usize, columns: i32): usize {
  memory.copy(EDGE_ROW, pixels, columns * 3);
  const last = EDGE_ROW + (columns - 1) * 3;
  for (let column = columns; column < SIDE; column++) memory.copy(EDGE_ROW + column * 3, last, 3);
  return EDGE_ROW;
}

@inline
function meansOfFour(left: v128, right: v128): v128 {
  const rounding = i32x4(1, 2, 1, 2);
  const l = v128.shr<i32>(add32(i32x4.extadd_pairwise_i16x8_s(left), rounding), 2);
  const r = v128.shr<i32>(add32(i32x4.extadd_pairwise_i16x8_s(right), rounding), 2);
  return sub16(v128.narrow<i32>(l, r), i16x8.splat(128));
}

/** 16 pixels: writes their Y; their Cb and Cr are kept, or added to those of the row above when `second`. */
@inline
function readRow(pixels: usize, y: usize, second: bool): void {
  const a = v128.load(pixels), b = v128.load(pixels, 16), c = v128.load(pixels, 32);
  const red = v128.shuffle<i8>(
    v128.shuffle<i8>(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0),
    c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29,
  );
  const green = v128.shuffle<i8>(
    v128.shuffle<i8>(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0),
    c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30,
  );
  const blue = v128.shuffle<i8>(
    v128.shuffle<i8>(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0),
    c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31,
  );
  const r = i16x8.extend_low_i8x16_u(red), g = i16x8.extend_low_i8x16_u(green), l = i16x8.extend_low_i8x16_u(blue);
  v128.store(y, luma(r, g, l));
  cbLeft = second ? add16(cbLeft, blueness(r, g, l)) : blueness(r, g, l);
  crLeft = second ? add16(crLeft, redness(r, g, l)) : redness(r, g, l);
  const r2 = i16x8.extend_high_i8x16_u(red), g2 = i16x8.extend_high_i8x16_u(green);
  const l2 = i16x8.extend_high_i8x16_u(blue);
  v128.store(y, luma(r2, g2, l2), 16);
  cbRight = second ? add16(cbRight, blueness(r2, g2, l2)) : blueness(r2, g2, l2);
  crRight = second ? add16(crRight, redness(r2, g2, l2)) : redness(r2, g2, l2);
}

// A factor over 32767 does not fit `dot`: green's 38470 is split between red's and blue's pair, and 32768 is doubled after.

@inline
function luma(red: v128, green: v128, blue: v128): v128 {
  const byRed = factors(19595, 22086), byBlue = factors(7471, 38470 - 22086);
  const low = add32(dot(low16(red, green), byRed), dot(low16(blue, green), byBlue));
  const high = add32(dot(high16(red, green), byRed), dot(high16(blue, green), byBlue));
  const half = i32x4.splat(32768);
  return sub16(v128.narrow<i32>(shift16(add32(low, half)), shift16(add32(high, half))), i16x8.splat(128));
}

@inline
function blueness(red: v128, green: v128, blue: v128): v128 {
  return chroma(red, green, blue, factors(-11059, -21709));
}

@inline
function redness(red: v128, green: v128, blue: v128): v128 {
  return chroma(blue, green, red, factors(-5329, -27439));
}

/** 32768 × `main` + two negative factors × the others, and libjpeg's offset: 128 and just less than a half. */
@inline
function chroma(other: v128, green: v128, main: v128, by: v128): v128 {
  const offset = i32x4.splat(8421375);
  const low = add32(dot(low16(other, green), by), v128.shl<i32>(i32x4.extend_low_i16x8_u(main), 15));
  const high = add32(dot(high16(other, green), by), v128.shl<i32>(i32x4.extend_high_i16x8_u(main), 15));
  return v128.narrow<i32>(shift16(add32(low, offset)), shift16(add32(high, offset)));
}

@inline
function shift16(value: v128): v128 {
  return v128.shr<i32>(value, 16);
}
