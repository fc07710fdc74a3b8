/** RGB pixels → the samples of one MCU; jpeg-mcu.ts defines what these functions do. */
import { EDGE_ROW, SAMPLES_CB, SAMPLES_CR, SAMPLES_Y } from './layout.as';
import { add16, add32, dot, factors } from './simd.as';

const SIDE = 16;
const Y_ROW_BYTES: usize = 32;
const CHROMA_ROW_BYTES: usize = 16;

/** 128 − Cb and 128 − Cr of eight columns each: the sums of two rows. */
let cbLeft: v128 = i16x8.splat(0);
let cbRight: v128 = i16x8.splat(0);
let crLeft: v128 = i16x8.splat(0);
let crRight: v128 = i16x8.splat(0);

/** columns, rows: of the MCU inside the picture, 1–16. Reads up to 52 bytes of each row. */
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

/** Takes the sums of two rows, 128 − chroma; gives the means of four, chroma − 128. */
@inline
function meansOfFour(left: v128, right: v128): v128 {
  const rounding = i32x4(1, 2, 1, 2);
  const l = v128.sub<i32>(rounding, i32x4.extadd_pairwise_i16x8_s(left));
  const r = v128.sub<i32>(rounding, i32x4.extadd_pairwise_i16x8_s(right));
  return v128.narrow<i32>(v128.shr<i32>(l, 2), v128.shr<i32>(r, 2));
}

/** 16 pixels: writes their Y; their chroma is kept, or added to that of the row above when `second`. */
@inline
function readRow(pixels: usize, y: usize, second: bool): void {
  const rg0 = redGreen(pixels), bg0 = blueGreen(pixels);
  const rg1 = redGreen(pixels + 12), bg1 = blueGreen(pixels + 12);
  v128.store(y, v128.narrow<i32>(luma(rg0, bg0), luma(rg1, bg1)));
  const cb = v128.narrow<i32>(blueness(rg0, bg0), blueness(rg1, bg1));
  const cr = v128.narrow<i32>(redness(rg0, bg0), redness(rg1, bg1));
  cbLeft = second ? add16(cbLeft, cb) : cb;
  crLeft = second ? add16(crLeft, cr) : cr;
  const rg2 = redGreen(pixels + 24), bg2 = blueGreen(pixels + 24);
  const rg3 = redGreen(pixels + 36), bg3 = blueGreen(pixels + 36);
  v128.store(y, v128.narrow<i32>(luma(rg2, bg2), luma(rg3, bg3)), 16);
  const cb2 = v128.narrow<i32>(blueness(rg2, bg2), blueness(rg3, bg3));
  const cr2 = v128.narrow<i32>(redness(rg2, bg2), redness(rg3, bg3));
  cbRight = second ? add16(cbRight, cb2) : cb2;
  crRight = second ? add16(crRight, cr2) : cr2;
}

/** Of four pixels red and green in turn, 16 bits each. */
@inline
function redGreen(pixels: usize): v128 {
  return i8x16.relaxed_swizzle(
    v128.load(pixels), i8x16(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1),
  );
}

@inline
function blueGreen(pixels: usize): v128 {
  return i8x16.relaxed_swizzle(
    v128.load(pixels), i8x16(2, -1, 1, -1, 5, -1, 4, -1, 8, -1, 7, -1, 11, -1, 10, -1),
  );
}

// Factors of `dot` are −32768 to 32767. So green's 38470 is split between the two pairs, and chroma, which has 32768, is
// computed negated: 128 − ⌊(a + 8421375) / 65536⌋ is ⌊(32768 − a) / 65536⌋.

/** Y − 128. */
@inline
function luma(redGreen: v128, blueGreen: v128): v128 {
  const sum = add32(dot(redGreen, factors(19595, 22086)), dot(blueGreen, factors(7471, 38470 - 22086)));
  return v128.shr<i32>(add32(sum, i32x4.splat(32768 - (128 << 16))), 16);
}

/** 128 − Cb. */
@inline
function blueness(redGreen: v128, blueGreen: v128): v128 {
  const sum = add32(dot(redGreen, factors(11059, 21709)), dot(blueGreen, factors(-32768, 0)));
  return v128.shr<i32>(add32(sum, i32x4.splat(32768)), 16);
}

/** 128 − Cr. */
@inline
function redness(redGreen: v128, blueGreen: v128): v128 {
  const sum = add32(dot(redGreen, factors(-32768, 27439)), dot(blueGreen, factors(5329, 0)));
  return v128.shr<i32>(add32(sum, i32x4.splat(32768)), 16);
}
