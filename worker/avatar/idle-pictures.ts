/** The pictures of an avatar's idle clip: what it does while it listens. They are shown as they are, without a mouth. */

import { hasIdleClip, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { AvatarFrames } from '../pipeline/contract.ts';
import type { BackdropSource } from './backdrop.ts';
import { listBackgroundFiles } from './background-files.ts';
import { readyFrameFolder } from './frame-folder.ts';
import { idleClipOf } from './frame-sources.ts';
import { decodePicture, type PictureSize, readPictureFile, readPictureSize } from './picture-file.ts';

/** What a clip has from its avatar. */
interface OfAvatar {
  readonly size: PictureSize;
  readonly backdrop?: BackdropSource | undefined;
}

/** As those of an avatar, for the same preparation: their mouths are hidden, in a rect that says nothing. */
export interface IdlePictures extends OfAvatar, Pick<AvatarFrames, 'frameCount' | 'rect' | 'background'> {
  readonly blend: 'hidden';
  source(index: number): { readonly background: string };
}

/** One MCU of a JPEG: what the compositor encodes anew of each frame. */
const RECT = { x1: 0, y1: 0, x2: 16, y2: 16 };

/**
 * Opens the idle clip of a model, whose pictures are extracted first where they are still in a video.
 * @param avatar that it belongs to: of the same size, and with the same backdrop.
 * @returns undefined where there is none.
 * @throws FarmError as `openAvatar` does.
 */
export async function openIdlePictures(
  model: ModelConfig,
  { size, backdrop }: OfAvatar,
  signal: AbortSignal = AbortSignal.any([]),
): Promise<IdlePictures | undefined> {
  if (!hasIdleClip(model)) return undefined;
  const paths = await listBackgroundFiles(await readyFrameFolder(await idleClipOf(model), signal));
  await checkIdleSize(paths[0] ?? '', size);
  return {
    ...{ frameCount: paths.length, size, backdrop, blend: 'hidden' },
    rect: () => RECT,
    source: (index) => ({ background: paths[index] ?? '' }),
    background: async (index) => {
      const path = paths[index] ?? '';
      return await decodePicture(await readPictureFile(path), size, path);
    },
  };
}

/** @throws FarmError `model_unusable` for a picture of another size than the avatar's. */
export async function checkIdleSize(path: string, { width, height }: PictureSize): Promise<void> {
  const found = await readPictureSize(path);
  if (found.width === width && found.height === height) return;
  const sizes = `${found.width}×${found.height}, and the avatar's pictures are ${width}×${height}`;
  throw new FarmError('model_unusable', `the idle clip does not fit: ${path} is ${sizes}`);
}
