/** Mixes two pictures by a weight for each pixel; `mixBack` in ../pipeline/composite.ts defines what it does. */

const STEP = 16;
const CHANNELS: usize = 3;
const WHOLE: i32 = 255;
const HALF: i32 = 127;

/**
 * Mixes width × height RGB pixels at `from`, without gaps, into those at `to`, `toStride` bytes a row.
 * @param weights one byte a pixel: 255 gives the pixel of `from`, 0 leaves that of `to`.
 */
export function mix(from: usize, weights: usize, to: usize, toStride: usize, width: i32, height: i32): void {
  const wide = width & ~(STEP - 1);
  for (let row = 0; row < height; row++) {
    for (let x = 0; x < wide; x += STEP) mixSixteen(from + 3 * x, weights + x, to + 3 * x);
    for (let x = wide; x < width; x++) mixOne(from + 3 * x, load<u8>(weights + x), to + 3 * x);
    from += (width as usize) * CHANNELS;
    weights += width;
    to += toStride;
  }
}

/** Sixteen pixels lie in 48 bytes. */
@inline
function mixSixteen(from: usize, weights: usize, to: usize): void {
  const all = v128.load(weights);
  if (!v128.any_true(all)) return;
  mixBytes(from, i8x16.swizzle(all, i8x16(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5)), to);
  mixBytes(from + 16, i8x16.swizzle(all, i8x16(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10)), to + 16);
  mixBytes(
    from + 32, i8x16.swizzle(all, i8x16(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15)), to + 32,
  );
}

@inline
function mixBytes(from: usize, weights: v128, to: usize): void {
  const mouth = v128.load(from), old = v128.load(to), rest = v128.not(weights);
  const low = i16x8.add(i16x8.extmul_low_i8x16_u(mouth, weights), i16x8.extmul_low_i8x16_u(old, rest));
  const high = i16x8.add(i16x8.extmul_high_i8x16_u(mouth, weights), i16x8.extmul_high_i8x16_u(old, rest));
  v128.store(to, i8x16.narrow_i16x8_u(divided(low), divided(high)));
}

/** Eight numbers of 0 … 255², divided by 255 and rounded to the nearest. */
@inline
function divided(sums: v128): v128 {
  const sum = i16x8.add(sums, i16x8.splat(128));
  return i16x8.shr_u(i16x8.add(sum, i16x8.shr_u(sum, 8)), 8);
}

@inline
function mixOne(from: usize, weight: i32, to: usize): void {
  for (let channel: usize = 0; channel < CHANNELS; channel++) {
    const mouth: i32 = load<u8>(from + channel), old: i32 = load<u8>(to + channel);
    store<u8>(to + channel, (mouth * weight + old * (WHOLE - weight) + HALF) / WHOLE);
  }
}
