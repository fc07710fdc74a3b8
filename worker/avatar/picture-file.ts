/** Picture files → sizes and pixels. */

import sharp from 'sharp';
import { FarmError } from '../../shared/errors.ts';
import type { RgbImage } from '../pipeline/contract.ts';

// The cache above this one knows what to keep, and a worker's cores belong to inference.
sharp.cache(false);
sharp.concurrency(1);

const RGB_CHANNELS = 3;

export interface PictureSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/**
 * The size of a picture, from its header only.
 * @throws FarmError `model_unusable` naming the file when it is missing or no picture.
 */
export async function readPictureSize(path: string): Promise<PictureSize> {
  try {
    const { width, height } = await sharp(path).metadata();
    return { width, height };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * Decodes a picture file to interleaved 8-bit sRGB, whatever it is stored as (grey, 16 bits, CMYK, with alpha).
 * @param file the file's content.
 * @param size what it must measure.
 * @param path where it came from, for messages.
 * @throws FarmError `model_unusable` naming the file: damaged, or of another size.
 */
export async function decodePicture(file: Uint8Array, size: PictureSize, path: string): Promise<RgbImage> {
  const { data, info } = await sharp(file)
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
  if (info.width !== size.width || info.height !== size.height || info.channels !== RGB_CHANNELS) {
    throw new FarmError(
      'model_unusable',
      `picture ${path} is ${info.width}×${info.height} with ${info.channels} channels: ` +
        `expected ${size.width}×${size.height} with ${RGB_CHANNELS}, as the first one`,
    );
  }
  return { width: info.width, height: info.height, data };
}

/** What a picture file that cannot be used is answered with. */
export function unreadable(path: string, cause: unknown): FarmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FarmError('model_unusable', `picture ${path} cannot be read: ${reason}`, { cause });
}
