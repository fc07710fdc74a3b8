/** A picture with alpha, and what is behind it → the picture as it is seen, in which a mouth is put as in any other. */

import type { Rect, RgbImage } from '../pipeline/contract.ts';

const CHANNELS = 3;
const OPAQUE = 255;
const HALF = 127;

/** A picture, and how much of the mouth each pixel of its rect shows: see `MouthPicture.weights`. */
export interface SeenPicture {
  readonly picture: RgbImage;
  readonly weights: Uint8Array | undefined;
}

/**
 * Puts a backdrop behind a picture. A frame made of the result is what one gets by putting the mouth into the picture
 * first and the backdrop behind that: a pixel of the rect shows so much less of the mouth as alpha lets through, and
 * what else it shows is picture and backdrop in the shares that are left of them.
 * @param alpha of the picture: one byte a pixel, row-major, 255 opaque.
 * @param backdrop of the picture's size.
 * @param rect of the mouth.
 * @param weights of the mouth over the picture alone; absent: all of it everywhere.
 * @returns new arrays; no weights where the mouth covers all of its rect.
 */
export function putBehind(
  { width, height, data }: RgbImage,
  alpha: Uint8Array,
  backdrop: RgbImage,
  rect: Rect,
  weights?: Uint8Array,
): SeenPicture {
  const seen = mixAll(data, alpha, backdrop.data);
  const columns = rect.x2 - rect.x1;
  const left = new Uint8Array(columns * (rect.y2 - rect.y1));
  for (let place = 0; place < left.length; place++) {
    const pixel = (rect.y1 + Math.floor(place / columns)) * width + rect.x1 + (place % columns);
    const [share, mouth] = [alpha[pixel] as number, weights?.[place] ?? OPAQUE];
    left[place] = Math.floor((share * mouth + HALF) / OPAQUE);
    // Of 255²: what the mouth leaves to the picture, and what alpha leaves to the backdrop.
    mix(data, share * (OPAQUE - mouth), backdrop.data, OPAQUE * (OPAQUE - share), seen, pixel * CHANNELS);
  }
  const isWhole = left.every((weight) => weight === OPAQUE);
  return { picture: { width, height, data: seen }, weights: isWhole ? undefined : left };
}

/** All pixels, each by its share of 255: written out, since every pixel of a picture passes here. */
function mixAll(a: Uint8Array, alpha: Uint8Array, b: Uint8Array): Uint8Array {
  const mixed = new Uint8Array(a.length);
  for (let at = 0, pixel = 0; at < a.length; at += CHANNELS, pixel++) {
    const share = alpha[pixel] as number;
    const rest = OPAQUE - share;
    mixed[at] = ((a[at] as number) * share + (b[at] as number) * rest + HALF) / OPAQUE;
    mixed[at + 1] = ((a[at + 1] as number) * share + (b[at + 1] as number) * rest + HALF) / OPAQUE;
    mixed[at + 2] = ((a[at + 2] as number) * share + (b[at + 2] as number) * rest + HALF) / OPAQUE;
  }
  return mixed;
}

/** Mixes two pixels at `at` by their shares; leaves the target as it is when both are 0. */
function mix(a: Uint8Array, ofA: number, b: Uint8Array, ofB: number, into: Uint8Array, at: number): void {
  const whole = ofA + ofB;
  if (whole === 0) return;
  for (let channel = at; channel < at + CHANNELS; channel++) {
    const sum = (a[channel] as number) * ofA + (b[channel] as number) * ofB;
    into[channel] = Math.floor((sum + whole / 2) / whole);
  }
}
