/**
 * Visual inputs as bytes, in plain TypeScript: the definition of what `visual-bytes.kernel.as.ts` does, and what it is
 * tested against. Nothing is lost: a worker makes the same bits of the bytes as were sent, or they stay floats.
 */
import { VISUAL_FORMS } from '../../shared/live/visual-frames.ts';

/** What `toBytes` returns: which floats the bytes do not stand for. */
export const NOT_DIVIDED = 1;
export const NOT_MULTIPLIED = 2;

const DIVIDED = VISUAL_FORMS.planes.floats;
const MULTIPLIED = VISUAL_FORMS['planes-multiplied'].floats;

/**
 * Writes the byte that each float stands for.
 * @param bytes receives one byte for each float; of no use when both bits of the answer are set.
 * @returns the bits NOT_DIVIDED unless all floats are k/255 as float32, and NOT_MULTIPLIED unless all are k × (1/255).
 */
export function toBytes(floats: Float32Array, bytes: Uint8Array): number {
  let off = 0;
  for (const [place, float] of floats.entries()) {
    const byte = Math.min(Math.max(Math.round(float * 255), 0), 255);
    bytes[place] = byte;
    if (!Object.is(float, DIVIDED[byte])) off |= NOT_DIVIDED;
    if (!Object.is(float, MULTIPLIED[byte])) off |= NOT_MULTIPLIED;
  }
  return off;
}

/** Index of the first NaN or infinite float; -1 when there is none. */
export function firstNotFinite(floats: Float32Array): number {
  return floats.findIndex((float) => !Number.isFinite(float));
}

/**
 * The picture that a visual input of bytes was made from.
 * @param planes [6, S, S], B, G and R twice.
 * @param crop receives [S, S, 3], RGB.
 * @returns whether channels 3–5 are channels 0–2 with x 5…S−6, y 5…S−11 set to 0; `crop` is of no use when not.
 */
export function toCrop(planes: Uint8Array, size: number, crop: Uint8Array): boolean {
  const plane = size * size;
  for (let at = 0; at < plane; at++) {
    const [x, y] = [at % size, Math.floor(at / size)];
    const isHidden = x >= 5 && x <= size - 6 && y >= 5 && y <= size - 11;
    for (let channel = 0; channel < 3; channel++) {
      const value = planes[channel * plane + at] as number;
      if (planes[(channel + 3) * plane + at] !== (isHidden ? 0 : value)) return false;
      crop[3 * at + 2 - channel] = value;
    }
  }
  return true;
}
