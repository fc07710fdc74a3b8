/** Background and crop rect → the crop of one frame, which is what the network sees. */

import { resizeBicubic } from './bicubic.ts';
import { CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from './contract.ts';

/** An empty (S+8)² picture for `fillCrop` to fill. */
export function makeCrop(size: NetworkSize): RgbImage {
  const side = size + 2 * CROP_MARGIN;
  return { width: side, height: side, data: new Uint8Array(side * side * 3) };
}

/**
 * Fills the crop of a frame: with what its rect cuts out of the background, and on top of that the picture of the face,
 * where the avatar has one.
 * @param crop (S+8)², overwritten.
 * @param cut fills it with the rect; not called where the face covers all of it.
 */
export function fillCrop(crop: RgbImage, face: RgbImage | undefined, cut: (crop: RgbImage) => void): void {
  if (face?.width !== crop.width) cut(crop);
  if (face) layFace(face, crop);
}

/** Copies the inner S×S of a crop, or a picture of S², to `face`, from end to end. */
export function copyFace(picture: RgbImage, size: NetworkSize, face: Uint8Array): void {
  const margin = (picture.width - size) / 2;
  for (let y = 0; y < size; y++) {
    const from = ((y + margin) * picture.width + margin) * 3;
    face.set(picture.data.subarray(from, from + size * 3), y * size * 3);
  }
}

/** Fills `crop` with `rect` of `background`, bicubic. `rect` is not empty and lies inside the background. */
export function cutCrop(background: RgbImage, rect: Rect, crop: RgbImage): void {
  resizeBicubic(background, rect, crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height });
}

/** Lays a picture of the face, (S+8)² or S², on the middle of the crop. */
function layFace(face: RgbImage, crop: RgbImage): void {
  const margin = (crop.width - face.width) / 2;
  for (let y = 0; y < face.height; y++) {
    const row = face.data.subarray(y * face.width * 3, (y + 1) * face.width * 3);
    crop.data.set(row, ((y + margin) * crop.width + margin) * 3);
  }
}
