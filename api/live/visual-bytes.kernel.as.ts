/** Visual inputs as bytes, sixteen values at a time. `visual-bytes.ts` is the definition, `visual-kernel.ts` the host. */

const ONE_BYTE: v128 = i32x4.splat(0xff);
const SCALE: v128 = f32x4.splat(255);
const INVERSE: v128 = f32x4.splat(<f32>1 / <f32>255);
/** Added to a float32 from 0 to 2^22, it moves the nearest whole number into the lowest bits. */
const TO_WHOLE: v128 = f32x4.splat(8388608);

const NOT_DIVIDED: i32 = 1;
const NOT_MULTIPLIED: i32 = 2;

/** See `toBytes` in visual-bytes.ts. @param count rounded up to 16 here: what follows the floats is overwritten with 0. */
export function toBytes(floats: usize, count: i32, bytes: usize): i32 {
  const end = floats + (<usize>count << 2);
  for (let at = end; at < floats + ((<usize>(count + 15) & ~15) << 2); at += 4) store<i32>(at, 0);
  // Bits that differ from k/255, and from k × (1/255).
  let offDivided = i32x4.splat(0);
  let offMultiplied = i32x4.splat(0);
  for (let at = floats; at < end; at += 64, bytes += 16) {
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const bytesA = byteOf(a);
    const bytesB = byteOf(b);
    const bytesC = byteOf(c);
    const bytesD = byteOf(d);
    const wholeA = f32x4.convert_i32x4_s(bytesA);
    const wholeB = f32x4.convert_i32x4_s(bytesB);
    const wholeC = f32x4.convert_i32x4_s(bytesC);
    const wholeD = f32x4.convert_i32x4_s(bytesD);
    offDivided = v128.or(offDivided, v128.or(
      v128.or(v128.xor(a, f32x4.div(wholeA, SCALE)), v128.xor(b, f32x4.div(wholeB, SCALE))),
      v128.or(v128.xor(c, f32x4.div(wholeC, SCALE)), v128.xor(d, f32x4.div(wholeD, SCALE))),
    ));
    offMultiplied = v128.or(offMultiplied, v128.or(
      v128.or(v128.xor(a, f32x4.mul(wholeA, INVERSE)), v128.xor(b, f32x4.mul(wholeB, INVERSE))),
      v128.or(v128.xor(c, f32x4.mul(wholeC, INVERSE)), v128.xor(d, f32x4.mul(wholeD, INVERSE))),
    ));
    const low = i16x8.narrow_i32x4_s(bytesA, bytesB);
    v128.store(bytes, i8x16.narrow_i16x8_u(low, i16x8.narrow_i32x4_s(bytesC, bytesD)));
  }
  return (v128.any_true(offDivided) ? NOT_DIVIDED : 0) | (v128.any_true(offMultiplied) ? NOT_MULTIPLIED : 0);
}

/** The nearest whole number in four floats × 255; some byte for floats outside 0…1. */
// @ts-ignore: decorator
@inline
function byteOf(floats: v128): v128 {
  return v128.and(f32x4.add(f32x4.mul(floats, SCALE), TO_WHOLE), ONE_BYTE);
}

/** See `firstNotFinite` in visual-bytes.ts. */
export function firstNotFinite(floats: usize, count: i32): i32 {
  const exponent = i32x4.splat(0x7f800000);
  let index = 0;
  for (; index + 4 <= count; index += 4) {
    const bits = v128.load(floats + (<usize>index << 2));
    if (v128.any_true(i32x4.eq(v128.and(bits, exponent), exponent))) break;
  }
  for (; index < count; index++) {
    if ((load<i32>(floats + (<usize>index << 2)) & 0x7f800000) == 0x7f800000) return index;
  }
  return -1;
}

/**
 * See `toCrop` in visual-bytes.ts; `size` is a multiple of 16.
 * @param mask two rows of `size` bytes: 255 everywhere, and 255 where nothing is hidden beside the mouth, else 0.
 */
export function toCrop(planes: usize, size: usize, crop: usize, mask: usize): i32 {
  const plane = size * size;
  let off = i32x4.splat(0);
  for (let y: usize = 0; y < size; y++) {
    const row = planes + y * size;
    const shown = y >= 5 && y <= size - 11 ? mask + size : mask;
    for (let x: usize = 0; x < size; x += 16, crop += 48) {
      const seen = v128.load(shown + x);
      const at = row + x;
      const b = v128.load(at);
      const g = v128.load(at + plane);
      const r = v128.load(at + 2 * plane);
      off = v128.or(off, v128.xor(v128.and(b, seen), v128.load(at + 3 * plane)));
      off = v128.or(off, v128.xor(v128.and(g, seen), v128.load(at + 4 * plane)));
      off = v128.or(off, v128.xor(v128.and(r, seen), v128.load(at + 5 * plane)));
      storeRgb(crop, r, g, b);
    }
    if (v128.any_true(off)) return 0;
  }
  return 1;
}

// @ts-ignore: decorator
@inline
function storeRgb(to: usize, r: v128, g: v128, b: v128): void {
  const rg0 = i8x16.shuffle(r, g, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
  v128.store(to, i8x16.shuffle(rg0, b, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15));
  const rg1 = i8x16.shuffle(r, g, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
  v128.store(to + 16, i8x16.shuffle(rg1, b, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15));
  const rg2 = i8x16.shuffle(r, g, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
  v128.store(to + 32, i8x16.shuffle(rg2, b, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31));
}
