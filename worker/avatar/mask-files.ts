/** An avatar's masks: for each picture one of the same number, which says what of it is not the face. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { listNumberedPictures, numberOfPicture } from './background-files.ts';

/** Numbers that a message lists. */
const LISTED = 5;

/**
 * The masks of pictures, by their numbers; a picture and its mask may have other digits and another ending.
 * @param paths of the pictures, in the avatar's order.
 * @returns paths in the same order.
 * @throws FarmError `model_unusable`: no such folder, two masks of one number, or pictures without a mask, by number.
 */
export async function findMasks(folder: string, paths: readonly string[]): Promise<string[]> {
  const masks = await listNumberedPictures(folder);
  const bare: number[] = [];
  const found = paths.map((path) => {
    const number = numberOfPicture(path) ?? -1;
    const mask = masks.get(number);
    if (mask === undefined) bare.push(number);
    return mask ?? '';
  });
  if (bare.length === 0) return found;
  const more = bare.length > LISTED ? ` and ${bare.length - LISTED} more` : '';
  throw new FarmError(
    'model_unusable',
    `${folder} has no mask for picture ${bare.slice(0, LISTED).join(', ')}${more}: ` +
      `expected one a picture, of the same number (${masks.size} masks for ${paths.length} pictures)`,
  );
}
