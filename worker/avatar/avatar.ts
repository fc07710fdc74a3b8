/** One avatar: its background pictures and crop rects, opened and checked together. */

import { FarmError } from '../../shared/errors.ts';
import type { AvatarFrames, Rect } from '../pipeline/contract.ts';
import { listBackgroundFiles } from './background-files.ts';
import { BackgroundFrames } from './background-frames.ts';
import { checkCropRects, readCropRects } from './crop-rects.ts';
import { readPictureSize } from './picture-file.ts';

/** Where an avatar's files are. */
export interface AvatarFiles {
  /** Folder of numbered pictures. */
  readonly backgroundDir: string;
  /** JSON file of crop rects, one a picture. */
  readonly cropRectsPath: string;
  /** `num_frames`: how many of the pictures are used, all when absent. */
  readonly frameLimit?: number | undefined;
}

export interface OpenAvatarOptions extends AvatarFiles {
  readonly modelId: string;
  /** Decoded pictures kept in memory, ≥ 1. */
  readonly cachedFrames: number;
}

export interface Avatar extends AvatarFrames {
  readonly modelId: string;
  /** Bytes of the pictures that are kept in memory. */
  readonly cachedBytes: number;
  /** Loads a background that will be read later, while there is room; an index outside the avatar does nothing. */
  prefetch(index: number): void;
}

/**
 * Opens an avatar: lists its pictures, reads the size of the first and checks every crop rect against it. Pixels are
 * decoded when they are asked for; a picture of another size is found then.
 * @throws FarmError `model_unusable` with what was found, what is expected and the path.
 */
export async function openAvatar(options: OpenAvatarOptions): Promise<Avatar> {
  const { modelId, cropRectsPath } = options;
  try {
    const paths = await listBackgroundFiles(options.backgroundDir, options.frameLimit);
    const size = await readPictureSize(paths[0] ?? options.backgroundDir);
    const rects = await readCropRects(cropRectsPath);
    checkCropRects(rects, { ...size, frameCount: paths.length }, cropRectsPath);
    const rect = (index: number) => rectAt(rects, index, paths.length);
    const frames = new BackgroundFrames({ paths, size, rect, cachedFrames: options.cachedFrames });
    return {
      modelId,
      frameCount: paths.length,
      ...size,
      rect,
      get cachedBytes() {
        return frames.cachedBytes;
      },
      background: (index) => frames.read(index),
      crop: (index, cut) => frames.crop(index, cut),
      prefetch: (index) => frames.prefetch(index),
    };
  } catch (cause) {
    if (!(cause instanceof FarmError)) throw cause;
    throw new FarmError(cause.code, `model ${modelId}: ${cause.message}`, { cause });
  }
}

/**
 * Checks an avatar's files without decoding a pixel: only names, the crop rects and the first picture's header.
 * @returns every problem found, as sentences that name the path; none when the avatar can be opened.
 */
export async function checkAvatarFiles(files: AvatarFiles): Promise<string[]> {
  const problems: string[] = [];
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await step();
    } catch (thrown) {
      if (!(thrown instanceof FarmError)) throw thrown;
      problems.push(thrown.message);
      return undefined;
    }
  };
  const paths = await attempt(() => listBackgroundFiles(files.backgroundDir, files.frameLimit));
  const first = paths?.[0];
  const size = first === undefined ? undefined : await attempt(() => readPictureSize(first));
  const rects = await attempt(() => readCropRects(files.cropRectsPath));
  if (paths !== undefined && size !== undefined && rects !== undefined) {
    await attempt(() => checkCropRects(rects, { ...size, frameCount: paths.length }, files.cropRectsPath));
  }
  return problems;
}

function rectAt(rects: readonly Rect[], index: number, frameCount: number): Rect {
  const rect = index < frameCount ? rects[index] : undefined;
  if (rect === undefined) throw new RangeError(`crop rect ${index} is outside 0 … ${frameCount - 1}`);
  return rect;
}
