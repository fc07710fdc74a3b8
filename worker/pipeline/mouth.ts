/** The network's picture → the mouth, in bytes. */

import type { NetworkSize } from './contract.ts';

/**
 * Writes one mouth: the network's planes as interleaved RGB, clamped, and truncated as numpy's float32 → uint8 cast
 * does.
 * @param output holds [3, S, S], BGR 0…1, from `offset` on.
 * @param mouth becomes [S, S, 3] RGB.
 */
export function writeMouth(output: Float32Array, offset: number, size: NetworkSize, mouth: Uint8Array): void {
  const plane = size * size;
  for (let from = offset, to = 0; from < offset + plane; from++, to += 3) {
    mouth[to] = toByte(output[from + 2 * plane] as number);
    mouth[to + 1] = toByte(output[from + plane] as number);
    mouth[to + 2] = toByte(output[from] as number);
  }
}

function toByte(value: number): number {
  // numpy multiplies in float32, where a product just below a whole number may become that number.
  const scaled = Math.fround(value * 255);
  return scaled <= 0 ? 0 : scaled >= 255 ? 255 : scaled | 0;
}
