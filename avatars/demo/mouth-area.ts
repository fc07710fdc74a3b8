/** How far the demo's mouth is open, read off a finished picture: what tests and benchmarks measure lip-sync with. */
import type { Rect, RgbImage } from '../../worker/pipeline/contract.ts';
import { CROP_SIDE, MOUTH_HALF_WIDTH, MOUTH_IN_CROP } from './scene-geometry.ts';

/** Part of a crop in which an open mouth shows, in pixels of a crop of CROP_SIDE: nothing else in it is as dark or white. */
const MOUTH_AREA_IN_CROP: Rect = {
  x1: MOUTH_IN_CROP.x - MOUTH_HALF_WIDTH - 8,
  y1: MOUTH_IN_CROP.y - 12,
  x2: MOUTH_IN_CROP.x + MOUTH_HALF_WIDTH + 8,
  y2: MOUTH_IN_CROP.y + 36,
};

/** Luma 0 … 255: the inside of the mouth lies below the first, lips and skin above the second. */
const DARK_LUMA = 78;
const LIT_LUMA = 108;
/** Red minus blue, 0 … 255: teeth lie below the first, skin above the second. */
const TEETH_TINT = 22;
const SKIN_TINT = 42;

/**
 * Area of the open mouth in pixels of `image`: its dark inside and its teeth. A closed mouth gives nearly 0 (the line
 * between the lips counts a little). A soft count without edges to trip over, so JPEG and H.264 move it by little.
 * @param image the whole finished picture.
 * @param rect crop rect of the frame's background.
 */
export function mouthOpenArea(image: RgbImage, rect: Rect): number {
  const scale = (rect.x2 - rect.x1) / CROP_SIDE;
  const xEnd = Math.min(image.width, Math.ceil(rect.x1 + MOUTH_AREA_IN_CROP.x2 * scale));
  const yEnd = Math.min(image.height, Math.ceil(rect.y1 + MOUTH_AREA_IN_CROP.y2 * scale));
  let area = 0;
  for (let y = Math.max(0, Math.floor(rect.y1 + MOUTH_AREA_IN_CROP.y1 * scale)); y < yEnd; y++) {
    for (let x = Math.max(0, Math.floor(rect.x1 + MOUTH_AREA_IN_CROP.x1 * scale)); x < xEnd; x++) {
      const at = (y * image.width + x) * 3;
      area += openness(image.data[at] as number, image.data[at + 1] as number, image.data[at + 2] as number);
    }
  }
  return area;
}

/** 1 for a colour of the mouth's inside, 0 for one of lips or skin. */
function openness(red: number, green: number, blue: number): number {
  const luma = 0.299 * red + 0.587 * green + 0.114 * blue;
  return Math.max(falling(luma, DARK_LUMA, LIT_LUMA), falling(red - blue, TEETH_TINT, SKIN_TINT));
}

/** 1 up to `from`, 0 beyond `to`. */
function falling(value: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (to - value) / (to - from)));
}
