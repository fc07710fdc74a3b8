/** Short names for instructions on vectors of eight 16-bit or four 32-bit numbers. */

@inline
export function add16(a: v128, b: v128): v128 {
  return v128.add<i16>(a, b);
}

@inline
export function sub16(a: v128, b: v128): v128 {
  return v128.sub<i16>(a, b);
}

@inline
export function add32(a: v128, b: v128): v128 {
  return v128.add<i32>(a, b);
}

/** a0 b0 a1 b1 … of the lower and the upper halves. */
@inline
export function low16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

@inline
export function high16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

@inline
export function low32(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 4, 1, 5);
}

@inline
export function high32(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 2, 6, 3, 7);
}

@inline
export function low64(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 0, 2);
}

@inline
export function high64(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 1, 3);
}

/** Factors for `dot`: a and b in turn. */
@inline
export function factors(a: i32, b: i32): v128 {
  return i32x4.splat((a & 0xffff) | (b << 16));
}

/** Of each pair of 16-bit numbers the sum of its products with two factors, in 32 bits. */
@inline
export function dot(pairs: v128, by: v128): v128 {
  return i32x4.dot_i16x8_s(pairs, by);
}

/** Two vectors of 32-bit numbers, shifted right and rounded, as one of 16-bit numbers. */
@inline
export function descale(low: v128, high: v128, bits: i32): v128 {
  const half = i32x4.splat(1 << (bits - 1));
  return v128.narrow<i32>(v128.shr<i32>(add32(low, half), bits), v128.shr<i32>(add32(high, half), bits));
}
