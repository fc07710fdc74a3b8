/** A crop and its parts; crop.ts and plain-compositor.ts define what these functions do. */
import { CROP, MOUTH, PLANES, RIM } from './layout.as';

const MARGIN: usize = 4;
const CHANNELS: usize = 3;

/** RIM and MOUTH → CROP, (S+8)² RGB. */
export function joinCrop(size: usize): void {
  const line = (size + 2 * MARGIN) * CHANNELS;
  const rimEnd = MARGIN * CHANNELS;
  const mouthLine = size * CHANNELS;
  const outerRows = MARGIN * line;
  memory.copy(CROP, RIM, outerRows);
  let rim = RIM + outerRows;
  let crop = CROP + outerRows;
  let mouth = MOUTH;
  for (let row: usize = 0; row < size; row++) {
    memory.copy(crop, rim, rimEnd);
    memory.copy(crop + rimEnd, mouth, mouthLine);
    memory.copy(crop + rimEnd + mouthLine, rim + rimEnd, rimEnd);
    rim += 2 * rimEnd;
    mouth += mouthLine;
    crop += line;
  }
  memory.copy(crop, rim, outerRows);
}

/** PLANES, [3, S, S] BGR 0…1 → MOUTH. S² is a multiple of 16. */
export function mouthOfPlanes(size: usize): void {
  const plane = size * size;
  let to = MOUTH;
  for (let place: usize = 0; place < plane; place += 16) {
    const blue = PLANES + (place << 2);
    const b = bytesOf(blue);
    const g = bytesOf(blue + (plane << 2));
    const r = bytesOf(blue + (plane << 3));
    storeInTurn(to, r, g, b);
    to += 48;
  }
}

/** 16 floats × 255, truncated to bytes. Not a number gives 0. */
@inline
function bytesOf(at: usize): v128 {
  const low = v128.narrow<i32>(scaled(v128.load(at)), scaled(v128.load(at, 16)));
  const high = v128.narrow<i32>(scaled(v128.load(at, 32)), scaled(v128.load(at, 48)));
  return i8x16.narrow_i16x8_u(low, high);
}

@inline
function scaled(values: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(v128.mul<f32>(values, f32x4.splat(255)));
}

/** r0 g0 b0 r1 g1 b1 … */
@inline
function storeInTurn(to: usize, r: v128, g: v128, b: v128): void {
  const rg0 = v128.shuffle<i8>(r, g, 0, 16, 0, 1, 17, 0, 2, 18, 0, 3, 19, 0, 4, 20, 0, 5);
  const rg1 = v128.shuffle<i8>(r, g, 21, 0, 6, 22, 0, 7, 23, 0, 8, 24, 0, 9, 25, 0, 10, 26);
  const rg2 = v128.shuffle<i8>(r, g, 0, 11, 27, 0, 12, 28, 0, 13, 29, 0, 14, 30, 0, 15, 31, 0);
  v128.store(to, v128.shuffle<i8>(rg0, b, 0, 1, 16, 3, 4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15));
  v128.store(to, v128.shuffle<i8>(rg1, b, 0, 21, 2, 3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15), 16);
  v128.store(to, v128.shuffle<i8>(rg2, b, 26, 1, 2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31), 32);
}
