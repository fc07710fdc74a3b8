/**
 * Picture files → sizes and pixels: the one place where an avatar's pictures are opened. A picture whose EXIF data says
 * that it is rotated is turned upright, as OpenCV and browsers do: landmarks and crop rects refer to the upright
 * picture.
 */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { readWholeFile, requireFile } from '../../shared/files/regular-file.ts';
import { MOST_PIXELS } from '../media/upload-input.ts';
import type { RgbImage } from '../pipeline/contract.ts';

const RGB_CHANNELS = 3;
/** libuv has four threads for it. */
const DECODED_AT_ONCE = 4;
/** Pictures that a message names. */
const QUOTED_FAULTS = 3;

export interface PictureSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** A picture of a few kilobytes can unfold to gigabytes: its header is read, and then it is refused. */
export const PICTURE_GUARDS = { limitInputPixels: MOST_PIXELS };

/** Loaded with the first picture: of the threads that import this, most open none. */
export async function loadSharp() {
  const { default: sharp } = await import('sharp');
  // Pictures are decoded once and kept in their prepared form, and a worker's cores are for inference.
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/**
 * The size of a picture, upright, from its header only.
 * @throws FarmError `model_unusable` naming the file when it is missing or no picture.
 */
export async function readPictureSize(path: string): Promise<PictureSize> {
  try {
    await requireFile(path);
    const sharp = await loadSharp();
    const { autoOrient } = await sharp(path, PICTURE_GUARDS).metadata();
    return autoOrient;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** The bytes of a picture file. @throws FarmError `model_unusable` naming the file. */
export async function readPictureFile(path: string): Promise<Buffer> {
  return await readWholeFile(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
}

/**
 * Decodes a picture file to interleaved 8-bit sRGB, upright, whatever it is stored as (grey, 16 bits, CMYK, with alpha).
 * @param file the file's content.
 * @param size what it must measure.
 * @param path where it came from, for messages.
 * @throws FarmError `model_unusable` naming the file: damaged, or of another size.
 */
export async function decodePicture(file: Uint8Array, size: PictureSize, path: string): Promise<RgbImage> {
  if (file.length === 0) throw unreadable(path, 'the file is empty (0 bytes)');
  const sharp = await loadSharp();
  const { data, info } = await sharp(file, PICTURE_GUARDS)
    .autoOrient()
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

/**
 * Decodes every picture, to find those that were cut off or have another size before a render does.
 * @throws FarmError `model_unusable` naming the files that cannot be used; `signal.reason` once it is aborted.
 */
export async function checkPictures(paths: readonly string[], size: PictureSize, signal: AbortSignal): Promise<void> {
  const faults: FarmError[] = [];
  for (let start = 0; start < paths.length; start += DECODED_AT_ONCE) {
    signal.throwIfAborted();
    const some = paths.slice(start, start + DECODED_AT_ONCE);
    const decoded = await Promise.allSettled(
      some.map(async (path) => await decodePicture(await readPictureFile(path), size, path)),
    );
    for (const result of decoded) {
      if (result.status === 'fulfilled') continue;
      if (!(result.reason instanceof FarmError)) throw result.reason;
      faults.push(result.reason);
    }
  }
  const [first] = faults;
  if (first === undefined) return;
  const more = faults.length > QUOTED_FAULTS ? `; and ${faults.length - QUOTED_FAULTS} more` : '';
  const messages = faults.slice(0, QUOTED_FAULTS).map(({ message }) => message);
  throw new FarmError(first.code, `${messages.join('; ')}${more}`, { cause: first });
}

/** The error for a picture file that cannot be read. */
export function unreadable(path: string, cause: unknown): FarmError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FarmError('model_unusable', `picture ${path} cannot be read: ${reason}`, { cause });
}
