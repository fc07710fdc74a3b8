/** Samples of an 8×8 block → its bits; jpeg-block.ts defines what these functions do. */
import { end, pending, pendingCount, put, setState, write32 } from './jpeg-bits.as';
import { AC_CODES, COEFFICIENTS, RECIPROCALS, UNZIGZAG, ZIGZAG } from './layout.as';
import { add16, add32, descale, dot, factors, high16, high32, high64, low16, low32, low64, sub16 } from './simd.as';

const SIXTEEN_ZEROS: usize = 0xf0 << 2;
/** 1.5 × 2^23: a float this large has no places after the point. */
const MAGIC: f32 = 12582912;

/** coding: LUMA or CHROMA. stride: bytes from one row of samples to the next. Returns the block's DC value. */
export function writeBlock(samples: usize, stride: usize, coding: usize, dcBefore: i32): i32 {
  transform(samples, stride);
  const nonZero = quantise(coding);
  const dc: i32 = load<i16>(COEFFICIENTS);
  writeCoefficients(coding, dc - dcBefore, inFileOrder(nonZero & ~1));
  return dc;
}

/** A block outside the picture. */
export function writeEmptyBlock(coding: usize): void {
  putCode(load<u32>(coding));
  putCode(load<u32>(coding + AC_CODES));
}

@inline
function putCode(entry: u32): void {
  put(entry >> 5, entry & 31);
}

/** The forward DCT into COEFFICIENTS: two passes over the columns, the block transposed before each. */
function transform(samples: usize, stride: usize): void {
  let r0 = v128.load(samples);
  let r1 = v128.load(samples + stride);
  let r2 = v128.load(samples + 2 * stride);
  let r3 = v128.load(samples + 3 * stride);
  let r4 = v128.load(samples + 4 * stride);
  let r5 = v128.load(samples + 5 * stride);
  let r6 = v128.load(samples + 6 * stride);
  let r7 = v128.load(samples + 7 * stride);
  for (let pass = 0; pass < 2; pass++) {
    const a0 = low16(r0, r1), a1 = high16(r0, r1), a2 = low16(r2, r3), a3 = high16(r2, r3);
    const a4 = low16(r4, r5), a5 = high16(r4, r5), a6 = low16(r6, r7), a7 = high16(r6, r7);
    const b0 = low32(a0, a2), b1 = high32(a0, a2), b2 = low32(a1, a3), b3 = high32(a1, a3);
    const b4 = low32(a4, a6), b5 = high32(a4, a6), b6 = low32(a5, a7), b7 = high32(a5, a7);
    const c0 = low64(b0, b4), c1 = high64(b0, b4), c2 = low64(b1, b5), c3 = high64(b1, b5);
    const c4 = low64(b2, b6), c5 = high64(b2, b6), c6 = low64(b3, b7), c7 = high64(b3, b7);

    const sum07 = add16(c0, c7), sum16 = add16(c1, c6), sum25 = add16(c2, c5), sum34 = add16(c3, c4);
    const d7 = sub16(c0, c7), d6 = sub16(c1, c6), d5 = sub16(c2, c5), d4 = sub16(c3, c4);
    const outer = add16(sum07, sum34), outerDifference = sub16(sum07, sum34);
    const inner = add16(sum16, sum25), innerDifference = sub16(sum16, sum25);
    r0 = roundEven(add16(outer, inner), pass);
    r4 = roundEven(sub16(outer, inner), pass);

    // Constants of 13 places after the point; two of them in one wherever a value meets both.
    const bits = pass == 0 ? 11 : 15;
    let low = low16(innerDifference, outerDifference), high = high16(innerDifference, outerDifference);
    let by = factors(4433, 4433 + 6270);
    r2 = descale(dot(low, by), dot(high, by), bits);
    by = factors(4433 - 15137, 4433);
    r6 = descale(dot(low, by), dot(high, by), bits);

    const d46 = add16(d4, d6), d57 = add16(d5, d7);
    low = low16(d46, d57); high = high16(d46, d57);
    by = factors(9633 - 16069, 9633);
    const z3Low = dot(low, by), z3High = dot(high, by);
    by = factors(9633, 9633 - 3196);
    const z4Low = dot(low, by), z4High = dot(high, by);

    low = low16(d4, d7); high = high16(d4, d7);
    by = factors(2446 - 7373, -7373);
    r7 = descale(add32(dot(low, by), z3Low), add32(dot(high, by), z3High), bits);
    by = factors(-7373, 12299 - 7373);
    r1 = descale(add32(dot(low, by), z4Low), add32(dot(high, by), z4High), bits);
    low = low16(d5, d6); high = high16(d5, d6);
    by = factors(16819 - 20995, -20995);
    r5 = descale(add32(dot(low, by), z4Low), add32(dot(high, by), z4High), bits);
    by = factors(-20995, 25172 - 20995);
    r3 = descale(add32(dot(low, by), z3Low), add32(dot(high, by), z3High), bits);
  }
  v128.store(COEFFICIENTS, r0);
  v128.store(COEFFICIENTS, r1, 16);
  v128.store(COEFFICIENTS, r2, 32);
  v128.store(COEFFICIENTS, r3, 48);
  v128.store(COEFFICIENTS, r4, 64);
  v128.store(COEFFICIENTS, r5, 80);
  v128.store(COEFFICIENTS, r6, 96);
  v128.store(COEFFICIENTS, r7, 112);
}

/** Two places after the point more after the first pass; two fewer, rounded, after the second. */
@inline
function roundEven(sum: v128, pass: i32): v128 {
  if (pass == 0) return v128.shl<i16>(sum, 2);
  return v128.shr<i16>(add16(sum, i16x8.splat(2)), 2);
}

/** Divides COEFFICIENTS by 8 × the steps. Returns a bit for each that is not 0, row by row. */
function quantise(coding: usize): u64 {
  let nonZero: u64 = 0;
  for (let row: usize = 0; row < 8; row += 2) {
    const a = quantiseRow(coding, row);
    const b = quantiseRow(coding, row + 1);
    const zero = i16x8.splat(0);
    const mask = i8x16.bitmask(v128.narrow<i16>(v128.ne<i16>(a, zero), v128.ne<i16>(b, zero)));
    nonZero |= ((mask & 0xffff) as u64) << ((row << 3) as u64);
  }
  return nonZero;
}

/**
 * The quotient as a whole number in the low bits of `quotient + MAGIC`. A half rounds away from zero because reciprocals
 * are a little too large; too little for any other 16-bit number to round wrongly, in f32 and however often the
 * processor rounds on the way.
 */
@inline
function quantiseRow(coding: usize, row: usize): v128 {
  const value = v128.load(COEFFICIENTS + (row << 4));
  const at = coding + RECIPROCALS + (row << 5);
  const magic = f32x4.splat(MAGIC);
  const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(value));
  const high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(value));
  const result = v128.shuffle<i16>(
    v128.relaxed_madd<f32>(low, v128.load(at), magic),
    v128.relaxed_madd<f32>(high, v128.load(at, 16), magic),
    0, 2, 4, 6, 8, 10, 12, 14,
  );
  v128.store(COEFFICIENTS + (row << 4), result);
  return result;
}

/** A bit for each place of the block → a bit for each place in the file's order. */
@inline
function inFileOrder(byRow: u64): u64 {
  let inOrder: u64 = 0;
  while (byRow) {
    inOrder |= (1 as u64) << (load<u8>(UNZIGZAG + <usize>ctz(byRow)) as u64);
    byRow &= byRow - 1;
  }
  return inOrder;
}

/** Writes the DC difference and the coefficients that `nonZero` has bits for. */
function writeCoefficients(coding: usize, difference: i32, nonZero: u64): void {
  // In local variables, which the compiler keeps in registers.
  let bits = pending;
  let count = pendingCount;
  let at = end;
  let value = difference;
  let codes = coding;
  let symbol: usize = 0;
  let last: u32 = 0;
  for (;;) {
    const sign = value >> 31;
    const length: u32 = 32 - clz<u32>((value ^ sign) - sign);
    const entry = load<u32>(codes + ((symbol | length) << 2));
    const codeLength = entry & 31;
    const low = (value + sign) & ((1 << length) - 1);
    bits = (bits << (codeLength + length)) | ((((entry >> 5) << length) | low) as u64);
    count += codeLength + length;
    if (count >= 32) {
      count -= 32;
      at = write32(at, (bits >> count) as u32);
    }
    if (nonZero == 0) break;
    const place = ctz(nonZero) as u32;
    nonZero &= nonZero - 1;
    let zeros = place - last - 1;
    last = place;
    codes = coding + AC_CODES;
    for (; zeros > 15; zeros -= 16) {
      const sixteen = load<u32>(codes + SIXTEEN_ZEROS);
      bits = (bits << (sixteen & 31)) | ((sixteen >> 5) as u64);
      count += sixteen & 31;
      if (count >= 32) {
        count -= 32;
        at = write32(at, (bits >> count) as u32);
      }
    }
    symbol = zeros << 4;
    value = load<i16>(COEFFICIENTS + ((load<u8>(ZIGZAG + place) as usize) << 1));
  }
  setState(bits, count, at);
  if (last < 63) putCode(load<u32>(coding + AC_CODES));
}
