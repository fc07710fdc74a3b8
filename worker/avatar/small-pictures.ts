import { readFile, stat, writeFile } from 'node:fs/promises';
import sharp from 'sharp';
import type { ArtifactStore } from '../../shared/artifacts.ts';
import { type AvatarPictures, avatarPictureKeys, avatarPicturesSchema } from '../../shared/avatar-pictures.ts';
import { entryVersion, hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { type Avatar, openAvatar, videosToExtract } from './avatar.ts';
import { readPictureFile } from './picture-file.ts';

/** How many of an avatar's pictures are made small, and the longer side of those, in pixels. */
const MOST_PICTURES = 8;
const LONGER_SIDE = 640;
const JPEG_QUALITY = 80;

/**
 * Writes small pictures of an avatar into the store, if those of this version of it are not there yet.
 * @returns false while its own pictures are still in a video: they are there once a GPU worker has loaded the model.
 * @throws FarmError `model_unusable` when the avatar cannot be opened, `storage_failed` when the store takes nothing.
 */
export async function writeSmallPictures(model: ModelConfig, artifacts: ArtifactStore): Promise<boolean> {
  if (!hasPictures(model)) return true;
  if ((await videosToExtract(model)).length > 0) return false;
  const { modelId } = model;
  const version = await versionOf(model);
  if ((await writtenVersion(modelId, artifacts)) === version) return true;
  const avatar = await openAvatar(model);
  const pictures = evenlySpaced(avatar.frameCount).map((index) => ({ index, rect: avatar.rect(index) }));
  await artifacts.remove(avatarPictureKeys.folder(modelId));
  for (const { index } of pictures) await writeOne(avatar, version, index, artifacts);
  const list: AvatarPictures = { version, ...avatar.size, total: avatar.frameCount, pictures };
  await artifacts.publish(avatarPictureKeys.list(modelId), (path) => writeFile(path, JSON.stringify(list)));
  return true;
}

async function writeOne(avatar: Avatar, version: string, index: number, artifacts: ArtifactStore): Promise<void> {
  const file = await readPictureFile(avatar.source(index).background);
  const small = await sharp(file)
    .autoOrient()
    .resize({ width: LONGER_SIDE, height: LONGER_SIDE, fit: 'inside', withoutEnlargement: true })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
  const key = avatarPictureKeys.picture(avatar.modelId, version, index);
  await artifacts.publish(key, (path) => writeFile(path, small));
}

/** The entry does not change when its files do: crop rects belong to their pictures, and are written with them. */
async function versionOf(model: ModelConfig): Promise<string> {
  const rects = await stat(model.cropRectsPath).catch(ifMissing());
  return `${entryVersion(model)}-${Math.round(rects?.mtimeMs ?? 0).toString(36)}`;
}

async function writtenVersion(modelId: string, artifacts: ArtifactStore): Promise<string | undefined> {
  const text = await readFile(artifacts.localPath(avatarPictureKeys.list(modelId)), 'utf8').catch(ifMissing());
  if (text === undefined) return undefined;
  try {
    return avatarPicturesSchema.safeParse(JSON.parse(text)).data?.version;
  } catch {
    // Cut off by hand or by a disk: it is written again.
    return undefined;
  }
}

function evenlySpaced(total: number): number[] {
  const count = Math.min(MOST_PICTURES, total);
  return Array.from({ length: count }, (_, at) => Math.floor((at * total) / count));
}
