/** One picture of an avatar → its prepared form. The same files give the same bytes on every machine. */

import { createHash } from 'node:crypto';
import type { PictureSource } from '../avatar/avatar.ts';
import { decodePicture, type PictureSize, readPictureFile, readPictureSize } from '../avatar/picture-file.ts';
import { type FrameCompositor, mouthArea } from '../compositor/contract.ts';
import { cutRim } from '../compositor/crop.ts';
import { CROP_MARGIN, type RgbImage } from '../pipeline/contract.ts';
import { checkFace, fillCrop, makeCrop, mouthWeights } from '../pipeline/pipeline.ts';
import { versionOf } from './content-hashes.ts';
import { pictureKey, type Recipe, type SourceHashes } from './picture-key.ts';
import { type PictureParts, toFile } from './picture-record.ts';

/** What is to be prepared, and how. */
export interface PictureOrder extends Recipe {
  /** Place in the avatar, for messages. */
  readonly index: number;
  readonly source: PictureSource;
  /** What the background must measure. */
  readonly size: PictureSize;
}

/** The files of a picture, as they were read. */
export interface FoundSources {
  readonly hashes: SourceHashes;
  /** Of the files before they were read, see `versionOf`. */
  readonly versions: Partial<Record<keyof SourceHashes, string>>;
  /** The picture's key, which follows from the hashes. */
  readonly key: string;
}

export interface ReadPicture extends FoundSources {
  /** Its prepared form, as the bytes of its file. @throws FarmError `model_unusable`. */
  prepare(compositor: FrameCompositor): Promise<Uint8Array>;
}

/**
 * Reads the files of a picture: what is hashed is what is prepared, even when somebody replaces them meanwhile.
 * @throws FarmError `model_unusable` naming the file that cannot be read.
 */
export async function readPicture(order: PictureOrder): Promise<ReadPicture> {
  const { background, crop, roi, mask } = order.source;
  const versions = {
    background: await versionOf(background),
    ...(crop === undefined ? {} : { crop: await versionOf(crop) }),
    ...(roi === undefined ? {} : { roi: await versionOf(roi) }),
    ...(mask === undefined ? {} : { mask: await versionOf(mask) }),
  };
  const [picture, cropFile, roiFile, maskFile] = await Promise.all([
    readPictureFile(background),
    ...[crop, roi, mask].map((path) => (path === undefined ? undefined : readPictureFile(path))),
  ]);
  const hashes = {
    background: sha256(picture),
    crop: cropFile && sha256(cropFile),
    roi: roiFile && sha256(roiFile),
    mask: maskFile && sha256(maskFile),
  };
  const key = pictureKey(hashes, order);
  const prepare = async (compositor: FrameCompositor) => {
    const [pixels, face, hiddenFace, maskPixels] = await Promise.all([
      decodePicture(picture, order.size, background),
      cropFile && decodeFace(cropFile, crop ?? ''),
      roiFile && decodeFace(roiFile, roi ?? ''),
      maskFile && decodePicture(maskFile, order.size, mask ?? ''),
    ]);
    checkFace({ crop: face, roi: hiddenFace }, order.side, order.index);
    const weights = mouthWeights(order.rect, order.side, order.blend, maskPixels);
    return toFile(key, { ...partsOf(pixels, face, order, compositor), weights, hiddenFace: hiddenFace?.data });
  };
  return { hashes, versions, key, prepare };
}

function partsOf(
  pixels: RgbImage,
  face: RgbImage | undefined,
  { rect, side, quality }: Recipe,
  compositor: FrameCompositor,
): Omit<PictureParts, 'hiddenFace' | 'weights'> {
  const crop = makeCrop(side);
  fillCrop(crop, face, (whole) => compositor.cutCrop(pixels, rect, whole));
  const { x1, y1, x2, y2 } = mouthArea(pixels, rect);
  const area = cutOut(pixels, x1, y1, x2 - x1, y2 - y1);
  return {
    ...compositor.encodeBackground(pixels, rect, quality),
    area,
    rim: cutRim(crop),
    face: cutOut(crop, CROP_MARGIN, CROP_MARGIN, side, side),
  };
}

/** Pictures of faces may have either of two sizes, which are checked against the network's. */
async function decodeFace(file: Uint8Array, path: string): Promise<RgbImage> {
  return await decodePicture(file, await readPictureSize(path), path);
}

function cutOut({ data, width }: RgbImage, x: number, y: number, columns: number, rows: number): Uint8Array {
  const cut = new Uint8Array(columns * rows * 3);
  for (let row = 0; row < rows; row++) {
    const from = ((y + row) * width + x) * 3;
    cut.set(data.subarray(from, from + columns * 3), row * columns * 3);
  }
  return cut;
}

function sha256(file: Uint8Array): string {
  return createHash('sha256').update(file).digest('hex');
}
