/** One picture of an avatar → its prepared form. The same files give the same bytes on every machine. */

import { createHash } from 'node:crypto';
import type { PictureSource } from '../avatar/avatar.ts';
import { type Backdrop, BackdropReader, type BackdropSource } from '../avatar/backdrop.ts';
import { decodeAlpha } from '../avatar/picture-alpha.ts';
import { decodePicture, type PictureSize, readPictureFile, readPictureSize } from '../avatar/picture-file.ts';
import { type FrameCompositor, mouthArea } from '../compositor/contract.ts';
import { cutOut, cutRim } from '../compositor/crop.ts';
import { putBehind, type SeenPicture } from '../compositor/put-behind.ts';
import { CROP_MARGIN, type RgbImage } from '../pipeline/contract.ts';
import { checkFace, fillCrop, makeCrop, mouthWeights } from '../pipeline/pipeline.ts';
import { type ContentHashes, versionOf } from './content-hashes.ts';
import { pictureKey, type Recipe, SOURCE_PARTS, type SourceHashes } from './picture-key.ts';
import { type PictureParts, toFile } from './picture-record.ts';

/** What is to be prepared, and how. */
export interface PictureOrder extends Recipe {
  /** Place in the avatar, for messages. */
  readonly index: number;
  readonly source: PictureSource;
  /** What the background must measure. */
  readonly size: PictureSize;
  /** What is to be seen behind it. */
  readonly backdrop?: BackdropSource | undefined;
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
export async function readPicture(order: PictureOrder, backdrops = new BackdropReader()): Promise<ReadPicture> {
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
  const backdrop = order.backdrop && (await backdrops.open(order.backdrop, order.size));
  const key = pictureKey(hashes, order, backdrop?.id);
  const prepare = async (compositor: FrameCompositor) => {
    const [pixels, face, hiddenFace] = await Promise.all([
      decodePicture(picture, order.size, background),
      cropFile && decodeFace(cropFile, crop ?? ''),
      roiFile && decodeFace(roiFile, roi ?? ''),
    ]);
    checkFace({ crop: face, roi: hiddenFace }, order.side, order.index);
    const seen = await seenPicture(order, pixels, { picture, mask: maskFile }, backdrop);
    const parts = partsOf(pixels, seen.picture, face, order, compositor);
    return toFile(key, { ...parts, weights: seen.weights, hiddenFace: hiddenFace?.data });
  };
  return { hashes, versions, key, prepare };
}

/** A picture as it is seen in front of a backdrop, without a mouth. @throws FarmError `model_unusable`. */
export async function readSeenPicture(order: PictureOrder, backdrop: Backdrop): Promise<RgbImage> {
  const { background, mask } = order.source;
  const [picture, maskFile] = await Promise.all([
    readPictureFile(background),
    mask === undefined ? undefined : readPictureFile(mask),
  ]);
  const pixels = await decodePicture(picture, order.size, background);
  return (await seenPicture(order, pixels, { picture, mask: maskFile }, backdrop)).picture;
}

async function seenPicture(
  { source, size, rect, side, blend }: PictureOrder,
  pixels: RgbImage,
  files: { readonly picture: Uint8Array; readonly mask: Uint8Array | undefined },
  backdrop: Backdrop | undefined,
): Promise<SeenPicture> {
  const mask = files.mask && (await decodePicture(files.mask, size, source.mask ?? ''));
  const weights = mouthWeights(rect, side, blend, mask);
  if (!backdrop) return { picture: pixels, weights };
  const alpha = await decodeAlpha(files.picture, size, source.background);
  return putBehind(pixels, alpha, backdrop.pixels, rect, weights);
}

/** @param seen the picture as frames show it; the network sees `pixels`. */
function partsOf(
  pixels: RgbImage,
  seen: RgbImage,
  face: RgbImage | undefined,
  { rect, side, quality }: Recipe,
  compositor: FrameCompositor,
): Omit<PictureParts, 'hiddenFace' | 'weights'> {
  const crop = makeCrop(side);
  fillCrop(crop, face, (whole) => compositor.cutCrop(pixels, rect, whole));
  return {
    ...compositor.encodeBackground(seen, rect, quality),
    area: cutOut(seen, mouthArea(seen, rect)),
    rim: cutRim(crop),
    face: cutOut(crop, { x1: CROP_MARGIN, y1: CROP_MARGIN, x2: CROP_MARGIN + side, y2: CROP_MARGIN + side }),
  };
}

/** Pictures of faces may have either of two sizes, which are checked against the network's. */
async function decodeFace(file: Uint8Array, path: string): Promise<RgbImage> {
  return await decodePicture(file, await readPictureSize(path), path);
}

function sha256(file: Uint8Array): string {
  return createHash('sha256').update(file).digest('hex');
}

/** Remembers what the files of a picture hash to. */
export async function noteHashes(hashes: ContentHashes, source: PictureSource, found: FoundSources): Promise<void> {
  for (const part of SOURCE_PARTS) {
    const [path, version, sha256] = [source[part], found.versions[part], found.hashes[part]];
    if (path !== undefined && version !== undefined && sha256 !== undefined) await hashes.note(path, version, sha256);
  }
}

/** What the files of a picture hash to, where that is remembered of all of them as they are now. */
export async function findHashes(hashes: ContentHashes, source: PictureSource): Promise<SourceHashes | undefined> {
  const found: Partial<Record<keyof SourceHashes, string>> = {};
  for (const part of SOURCE_PARTS) {
    const path = source[part];
    if (path === undefined) continue;
    const hash = await hashes.find(path);
    if (hash === undefined) return undefined;
    found[part] = hash;
  }
  const { background = '', ...faces } = found;
  return { background, ...faces };
}
