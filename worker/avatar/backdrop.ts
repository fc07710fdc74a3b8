/** What is put behind an avatar whose pictures have alpha: a colour, or a picture. */

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import { loadSharp, PICTURE_GUARDS, type PictureSize, readPictureFile, unreadable } from './picture-file.ts';

/** Where a backdrop comes from: `#rrggbb`, or the path of a picture. */
export type BackdropSource = { readonly colour: string } | { readonly path: string };

export interface Backdrop {
  readonly source: BackdropSource;
  /** Another one for another colour, or another content of the file. */
  readonly id: string;
  /** Of the size of the avatar's pictures. */
  readonly pixels: RgbImage;
}

const CHANNELS = 3;

/** A sentence on a backdrop that a model names and that is never seen; undefined where it is, or there is none. */
export function unseenBackdrop(
  model: Pick<ModelConfig, 'backdropColour' | 'backdropPicture'>,
  { hasAlpha }: { readonly hasAlpha: boolean },
): string | undefined {
  const named = model.backdropColour || model.backdropPicture;
  if (named === '' || hasAlpha) return undefined;
  return `the background ${named} is never seen: the pictures have no alpha, and cover all of it`;
}

/** Opens backdrops. It remembers the last one, which all pictures of an avatar share. */
export class BackdropReader {
  #last: { readonly version: string; readonly backdrop: Backdrop } | undefined;

  /**
   * A picture is resized to cover the avatar's: what reaches beyond it on two sides is cut off.
   * @param size of the avatar's pictures.
   * @throws FarmError `model_unusable` naming the file that cannot be used.
   */
  async open(source: BackdropSource, size: PictureSize): Promise<Backdrop> {
    const version = JSON.stringify([source, size, await versionOf(source)]);
    if (this.#last?.version === version) return this.#last.backdrop;
    const backdrop = 'colour' in source ? plain(source, size) : await picture(source, size);
    this.#last = { version, backdrop };
    return backdrop;
  }
}

/** Of its file: another text once that was changed. */
async function versionOf(source: BackdropSource): Promise<string> {
  if ('colour' in source) return '';
  const found = await stat(source.path).catch((cause: unknown) => {
    throw unreadable(source.path, cause);
  });
  return `${found.size} ${found.mtimeMs} ${found.ino}`;
}

function plain(source: { readonly colour: string }, { width, height }: PictureSize): Backdrop {
  const id = source.colour.toLowerCase();
  const colour = Buffer.from(id.slice(1), 'hex');
  const data = new Uint8Array(width * height * CHANNELS);
  for (let at = 0; at < data.length; at += CHANNELS) data.set(colour, at);
  return { source, id, pixels: { width, height, data } };
}

async function picture(source: { readonly path: string }, { width, height }: PictureSize): Promise<Backdrop> {
  const file = await readPictureFile(source.path);
  const sharp = await loadSharp();
  const data = await sharp(file, PICTURE_GUARDS)
    .autoOrient()
    .removeAlpha()
    .toColourspace('srgb')
    .resize(width, height, { fit: 'cover' })
    .raw({ depth: 'uchar' })
    .toBuffer()
    .catch((cause: unknown) => {
      throw unreadable(source.path, cause);
    });
  return { source, id: createHash('sha256').update(file).digest('hex'), pixels: { width, height, data } };
}
