/**
 * How the pixels of a mouth's area are kept. A mouth that covers its rect leaves nothing of the picture to be seen there,
 * so the middle of the rect is left out of what a worker has in memory: half of the area with a rect of 64², 72 % with one of
 * 182².
 */
import type { Rect, RgbImage } from '../pipeline/contract.ts';
import { mouthArea, type PictureSize } from './contract.ts';
import { cutOut } from './crop.ts';

const CHANNELS = 3;
/**
 * Part of the rect that stays at each of its sides. `measureFrame` looks at a mouth and the picture under it just inside
 * the mouth's border, which is nearer to the rect's than this with a network of either size.
 */
const BORDER = 1 / 32;

/** The area's bytes, row-major, are kept without `gaps` pieces of `gapBytes`, one in each row that has one. */
export interface AreaLayout {
  /** Bytes of a row of the area. */
  readonly stride: number;
  /** Bytes of the whole area. */
  readonly wholeBytes: number;
  /** Bytes that are kept. */
  readonly byteLength: number;
  /** Bytes before the first gap; all where there is none. */
  readonly before: number;
  readonly gapBytes: number;
  readonly gaps: number;
}

/** @param isMixed whether the mouth has weights: with them the picture shows in all of the rect, so there are no gaps. */
export function areaLayout(picture: PictureSize, rect: Rect, isMixed: boolean): AreaLayout {
  const area = mouthArea(picture, rect);
  const stride = (area.x2 - area.x1) * CHANNELS;
  const wholeBytes = stride * (area.y2 - area.y1);
  const [width, height] = [rect.x2 - rect.x1, rect.y2 - rect.y1];
  const [left, top] = [Math.ceil(width * BORDER), Math.ceil(height * BORDER)];
  const gapBytes = (width - 2 * left) * CHANNELS;
  const gaps = height - 2 * top;
  if (isMixed || gapBytes <= 0 || gaps <= 0) {
    return { stride, wholeBytes, byteLength: wholeBytes, before: wholeBytes, gapBytes: 0, gaps: 0 };
  }
  const before = (rect.y1 + top - area.y1) * stride + (rect.x1 + left - area.x1) * CHANNELS;
  return { stride, wholeBytes, byteLength: wholeBytes - gaps * gapBytes, before, gapBytes, gaps };
}

/** Where byte `at` of the whole area is kept; for one in a gap, where the gap is. */
export function placeInArea({ before, gapBytes, gaps, stride }: AreaLayout, at: number): number {
  if (at < before) return at;
  const gap = Math.min(Math.floor((at - before) / stride), gaps - 1);
  return at - Math.min(at - before - gap * stride, gapBytes) - gap * gapBytes;
}

/** What is kept of a picture for a mouth in `rect`: see `MouthPicture.area`. @param isMixed as of `areaLayout`. */
export function cutArea(picture: RgbImage, rect: Rect, isMixed: boolean): Uint8Array {
  const layout = areaLayout(picture, rect, isMixed);
  const kept = new Uint8Array(layout.byteLength);
  leaveGapsOut(layout, cutOut(picture, mouthArea(picture, rect)), kept);
  return kept;
}

/** Leaves the gaps out. @param into receives what is kept of `whole`. */
export function leaveGapsOut(layout: AreaLayout, whole: Uint8Array, into: Uint8Array): void {
  eachPiece(layout, (inWhole, kept, length) => into.set(whole.subarray(inWhole, inWhole + length), kept));
}

/** The whole area, with zeros in the gaps. */
export function withGaps(layout: AreaLayout, kept: Uint8Array): Uint8Array {
  const whole = new Uint8Array(layout.wholeBytes);
  eachPiece(layout, (inWhole, at, length) => whole.set(kept.subarray(at, at + length), inWhole));
  return whole;
}

function eachPiece(
  { before, gapBytes, gaps, stride, byteLength }: AreaLayout,
  visit: (inWhole: number, kept: number, length: number) => void,
): void {
  const between = stride - gapBytes;
  visit(0, 0, before);
  for (let gap = 1; gap < gaps; gap++) {
    const kept = before + (gap - 1) * between;
    visit(kept + gap * gapBytes, kept, between);
  }
  if (gaps === 0) return;
  const last = before + (gaps - 1) * between;
  visit(last + gaps * gapBytes, last, byteLength - last);
}
