/**
 * RGB → planes of YUV 4:2:0 as `planes.ts` defines it, sixteen pixels of two rows at a time. To be imported by kernels;
 * it has no memory of its own.
 */

const LUMA_BITS: i32 = 15;
const CHROMA_BITS: i32 = 18;
/** What is added before the shift, as a product of two 16-bit numbers: the place of black or grey, and a half. */
const LUMA_ONE: i32 = 128;
const LUMA_ZERO: i32 = 4224;
const CHROMA_ONE: i32 = 2048;
const CHROMA_ZERO: i32 = 16448;

/**
 * Converts `height` rows of `width` pixels.
 * @param rgb the first pixel; `stride` bytes from a row to the next.
 * @param black a row of zeros, 3 × `width` bytes, that follows an odd last row.
 * @param y where the first pixel's Y goes, `yStride` bytes a row; `u`, `v`, `chromaStride` likewise.
 */
export function convertRows(
  rgb: usize,
  stride: usize,
  width: i32,
  height: i32,
  black: usize,
  y: usize,
  yStride: usize,
  u: usize,
  v: usize,
  chromaStride: usize,
): void {
  for (let row = 0; row < height; row += 2) {
    const upper = rgb + <usize>row * stride;
    const lower = row + 1 < height ? upper + stride : black;
    convertRowPair(upper, lower, width, y, yStride, u, v);
    y += 2 * yStride;
    u += chromaStride;
    v += chromaStride;
  }
}

function convertRowPair(upper: usize, lower: usize, width: i32, y: usize, yStride: usize, u: usize, v: usize): void {
  const wide = width & ~15;
  // The odd columns of the sixteen pixels before; their last one is the left neighbour of the next sixteen.
  let leftR = i16x8.splat(<i16>(load<u8>(upper) + <u16>load<u8>(lower)));
  let leftG = i16x8.splat(<i16>(load<u8>(upper, 1) + <u16>load<u8>(lower, 1)));
  let leftB = i16x8.splat(<i16>(load<u8>(upper, 2) + <u16>load<u8>(lower, 2)));
  for (let x = 0; x < wide; x += 16) {
    const at = <usize>(3 * x);
    const a0 = v128.load(upper + at);
    const a1 = v128.load(upper + at, 16);
    const a2 = v128.load(upper + at, 32);
    const upperR = reds(a0, a1, a2);
    const upperG = greens(a0, a1, a2);
    const upperB = blues(a0, a1, a2);
    v128.store(y + x, luma(upperR, upperG, upperB));
    const b0 = v128.load(lower + at);
    const b1 = v128.load(lower + at, 16);
    const b2 = v128.load(lower + at, 32);
    const lowerR = reds(b0, b1, b2);
    const lowerG = greens(b0, b1, b2);
    const lowerB = blues(b0, b1, b2);
    v128.store(y + yStride + x, luma(lowerR, lowerG, lowerB));
    const oddR = odds(upperR, lowerR);
    const oddG = odds(upperG, lowerG);
    const oddB = odds(upperB, lowerB);
    const r = around(leftR, evens(upperR, lowerR), oddR);
    const g = around(leftG, evens(upperG, lowerG), oddG);
    const b = around(leftB, evens(upperB, lowerB), oddB);
    store<u64>(u + (x >> 1), chroma(r, g, b, -3298, -11094, 14392));
    store<u64>(v + (x >> 1), chroma(r, g, b, 14392, -13072, -1320));
    leftR = oddR;
    leftG = oddG;
    leftB = oddB;
  }
  for (let x = wide; x < width; x += 2) convertPair(upper, lower, x, width, y, yStride, u, v);
}

/** Two columns of two rows, the second of which may be missing. */
function convertPair(
  upper: usize,
  lower: usize,
  x: i32,
  width: i32,
  y: usize,
  yStride: usize,
  u: usize,
  v: usize,
): void {
  const even = <usize>(3 * x);
  const left = x > 0 ? even - 3 : even;
  const odd = even + 3;
  const last = x + 1 === width;
  store<u8>(y + x, lumaOf(upper + even));
  store<u8>(y + yStride + x, lumaOf(lower + even));
  store<u8>(y + x, last ? 16 : lumaOf(upper + odd), 1);
  store<u8>(y + yStride + x, last ? 16 : lumaOf(lower + odd), 1);
  const r = sumOf(upper, lower, left, even) + (last ? 0 : rowsOf(upper + odd, lower + odd));
  const g = sumOf(upper + 1, lower + 1, left, even) + (last ? 0 : rowsOf(upper + odd + 1, lower + odd + 1));
  const b = sumOf(upper + 2, lower + 2, left, even) + (last ? 0 : rowsOf(upper + odd + 2, lower + odd + 2));
  const zero = CHROMA_ONE * CHROMA_ZERO;
  store<u8>(u + (x >> 1), (-3298 * r - 11094 * g + 14392 * b + zero) >> CHROMA_BITS);
  store<u8>(v + (x >> 1), (14392 * r - 13072 * g - 1320 * b + zero) >> CHROMA_BITS);
}

// @ts-ignore: decorator
@inline
function lumaOf(pixel: usize): i32 {
  const sum = 5983 * <i32>load<u8>(pixel) + 20127 * <i32>load<u8>(pixel, 1) + 2032 * <i32>load<u8>(pixel, 2);
  return (sum + LUMA_ONE * LUMA_ZERO) >> LUMA_BITS;
}

// @ts-ignore: decorator
@inline
function rowsOf(upper: usize, lower: usize): i32 {
  return <i32>load<u8>(upper) + <i32>load<u8>(lower);
}

// @ts-ignore: decorator
@inline
function sumOf(upper: usize, lower: usize, left: usize, even: usize): i32 {
  return rowsOf(upper + left, lower + left) + 2 * rowsOf(upper + even, lower + even);
}

// Sixteen pixels lie in 48 bytes.

// @ts-ignore: decorator
@inline
function reds(a: v128, b: v128, c: v128): v128 {
  const most = v128.shuffle<u8>(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  return v128.shuffle<u8>(most, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
}

// @ts-ignore: decorator
@inline
function greens(a: v128, b: v128, c: v128): v128 {
  const most = v128.shuffle<u8>(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
  return v128.shuffle<u8>(most, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
}

// @ts-ignore: decorator
@inline
function blues(a: v128, b: v128, c: v128): v128 {
  const most = v128.shuffle<u8>(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  return v128.shuffle<u8>(most, c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
}

/** Y of sixteen pixels. */
// @ts-ignore: decorator
@inline
function luma(r: v128, g: v128, b: v128): v128 {
  const one = i8x16.splat(<i8>LUMA_ONE);
  const rgLow = v128.shuffle<u8>(r, g, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const rgHigh = v128.shuffle<u8>(r, g, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const bLow = v128.shuffle<u8>(b, one, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const bHigh = v128.shuffle<u8>(b, one, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(
      lumaOfFour(i16x8.extend_low_i8x16_u(rgLow), i16x8.extend_low_i8x16_u(bLow)),
      lumaOfFour(i16x8.extend_high_i8x16_u(rgLow), i16x8.extend_high_i8x16_u(bLow)),
    ),
    i16x8.narrow_i32x4_s(
      lumaOfFour(i16x8.extend_low_i8x16_u(rgHigh), i16x8.extend_low_i8x16_u(bHigh)),
      lumaOfFour(i16x8.extend_high_i8x16_u(rgHigh), i16x8.extend_high_i8x16_u(bHigh)),
    ),
  );
}

// @ts-ignore: decorator
@inline
function lumaOfFour(rg: v128, b: v128): v128 {
  const rgWeights = i16x8(5983, 20127, 5983, 20127, 5983, 20127, 5983, 20127);
  const bWeights = i16x8(2032, 4224, 2032, 4224, 2032, 4224, 2032, 4224);
  return i32x4.shr_s(i32x4.add(i32x4.dot_i16x8_s(rg, rgWeights), i32x4.dot_i16x8_s(b, bWeights)), LUMA_BITS);
}

/** The even columns of two rows, added up. */
// @ts-ignore: decorator
@inline
function evens(upper: v128, lower: v128): v128 {
  const low = i16x8.splat(0xff);
  return i16x8.add(v128.and(upper, low), v128.and(lower, low));
}

/** The odd columns of two rows, added up. */
// @ts-ignore: decorator
@inline
function odds(upper: v128, lower: v128): v128 {
  return i16x8.add(i16x8.shr_u(upper, 8), i16x8.shr_u(lower, 8));
}

/** Each even column twice, and its two neighbours. */
// @ts-ignore: decorator
@inline
function around(left: v128, even: v128, odd: v128): v128 {
  const before = v128.shuffle<u16>(left, odd, 7, 8, 9, 10, 11, 12, 13, 14);
  return i16x8.add(i16x8.add(even, even), i16x8.add(before, odd));
}

/** Eight samples of U or V from sums of pixels with weights that add up to 8. */
// @ts-ignore: decorator
@inline
function chroma(r: v128, g: v128, b: v128, ofR: i16, ofG: i16, ofB: i16): u64 {
  const one = i16x8.splat(<i16>CHROMA_ONE);
  const rgWeights = i16x8(ofR, ofG, ofR, ofG, ofR, ofG, ofR, ofG);
  const bWeights = i16x8(ofB, 16448, ofB, 16448, ofB, 16448, ofB, 16448);
  const low = i32x4.add(
    i32x4.dot_i16x8_s(v128.shuffle<u16>(r, g, 0, 8, 1, 9, 2, 10, 3, 11), rgWeights),
    i32x4.dot_i16x8_s(v128.shuffle<u16>(b, one, 0, 8, 1, 9, 2, 10, 3, 11), bWeights),
  );
  const high = i32x4.add(
    i32x4.dot_i16x8_s(v128.shuffle<u16>(r, g, 4, 12, 5, 13, 6, 14, 7, 15), rgWeights),
    i32x4.dot_i16x8_s(v128.shuffle<u16>(b, one, 4, 12, 5, 13, 6, 14, 7, 15), bWeights),
  );
  const eight = i16x8.narrow_i32x4_s(i32x4.shr_s(low, CHROMA_BITS), i32x4.shr_s(high, CHROMA_BITS));
  return i64x2.extract_lane(i8x16.narrow_i16x8_u(eight, eight), 0);
}
