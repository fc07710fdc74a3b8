/** An avatar's pictures of faces that were cut out before: the crops, or the rois from which the mouth is hidden. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import { listBackgroundFiles } from './background-files.ts';
import { decodePicture, readPictureFile, readPictureSize } from './picture-file.ts';

/** `crop`: (S+8)² of the crop rect, or its inner S². `roi`: S². The pipeline checks them against its network. */
export type FaceKind = 'crop' | 'roi';

export interface Faces {
  /** The file of the face of background `index`, 0 ≤ index < frameCount. */
  readonly path: (index: number) => string;
  /** Its pixels. @throws FarmError `model_unusable` when the file is unreadable or of another size than the first. */
  readonly read: (index: number) => Promise<RgbImage>;
}

/**
 * Opens a folder of faces. They are small, and files in use stay in the system's own cache, so none is kept here.
 * @param frameCount background pictures; each needs a face, further ones are ignored.
 * @throws FarmError `model_unusable` with what was found, what is expected and the path.
 */
export async function openFaces(kind: FaceKind, folder: string, frameCount: number): Promise<Faces> {
  const paths = await listBackgroundFiles(folder);
  if (paths.length < frameCount) {
    throw new FarmError('model_unusable', `${folder} has ${paths.length} ${kind}s for ${frameCount} background frames`);
  }
  const size = await readPictureSize(paths[0] ?? folder);
  const path = (index: number) => paths[index] ?? folder;
  const read = async (index: number) => await decodePicture(await readPictureFile(path(index)), size, path(index));
  return { path, read };
}
