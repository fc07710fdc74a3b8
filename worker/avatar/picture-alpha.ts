/** The alpha of an avatar's pictures: which have one, and its values. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { requireFile } from '../../shared/files/regular-file.ts';
import { loadSharp, PICTURE_GUARDS, type PictureSize, unreadable } from './picture-file.ts';

const RGBA_CHANNELS = 4;

/**
 * Whether a picture has an alpha channel, from its header only.
 * @throws FarmError `model_unusable` naming the file when it is missing or no picture.
 */
export async function hasAlpha(path: string): Promise<boolean> {
  try {
    await requireFile(path);
    const sharp = await loadSharp();
    return (await sharp(path, PICTURE_GUARDS).metadata()).hasAlpha;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * The alpha of a picture file, upright: one byte a pixel, row-major, 255 opaque; 255 everywhere of a picture without.
 * @param file the file's content.
 * @param size what it must measure.
 * @param path where it came from, for messages.
 * @throws FarmError `model_unusable` naming the file: damaged, or of another size.
 */
export async function decodeAlpha(file: Uint8Array, size: PictureSize, path: string): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { data, info } = await sharp(file, PICTURE_GUARDS)
    .autoOrient()
    .toColourspace('srgb')
    .ensureAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
  if (info.width !== size.width || info.height !== size.height || info.channels !== RGBA_CHANNELS) {
    const got = `${info.width}×${info.height} with ${info.channels} channels`;
    throw new FarmError('model_unusable', `picture ${path} is ${got}: expected ${size.width}×${size.height}`);
  }
  const alpha = new Uint8Array(size.width * size.height);
  for (let pixel = 0; pixel < alpha.length; pixel++) {
    alpha[pixel] = data[pixel * RGBA_CHANNELS + RGBA_CHANNELS - 1] as number;
  }
  return alpha;
}
