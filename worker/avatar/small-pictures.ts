import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import sharp from 'sharp';
import {
  type AvatarPictures,
  avatarPictureKeys,
  avatarPicturesSchema,
} from '../../shared/artifacts/avatar-pictures.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { entryVersion, hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { hashFile } from '../../shared/files/hash-file.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { HOUR_MS } from '../../shared/units.ts';
import { type Avatar, openAvatar, videosToExtract } from './avatar.ts';
import { readPictureFile } from './picture-file.ts';

/** How many of an avatar's pictures are made small, and the longer side of those, in pixels. */
const MOST_PICTURES = 8;
const LONGER_SIDE = 640;
const JPEG_QUALITY = 80;
/** What is seen through a picture whose avatar has no colour behind it. */
const BEHIND_CLEAR = '#808080';
/** Pictures that no media worker has touched for so long are of an avatar that is not configured any more. */
const UNUSED_AFTER_MS = HOUR_MS;

/**
 * Writes small pictures of an avatar into the store, if those of this version of it are not there yet.
 * @returns false while its own pictures are still in a video: they are there once a GPU worker has loaded the model.
 * @throws FarmError `model_unusable` when the avatar cannot be opened, `storage_failed` when the store takes nothing.
 */
export async function writeSmallPictures(model: ModelConfig, artifacts: ArtifactStore): Promise<boolean> {
  if (!hasPictures(model)) return true;
  if ((await videosToExtract(model)).length > 0) return false;
  const { modelId } = model;
  const avatar = await openAvatar(model);
  const pictures = evenlySpaced(avatar.frameCount).map((index) => ({ index, rect: avatar.rect(index) }));
  const files = [model.cropRectsPath, ...pictures.map(({ index }) => avatar.source(index).background)];
  // What was fetched is as old as its fetch, on every host at another time.
  const stamp = model.remote.length > 0 ? await contentOf(files) : await stampOf(files);
  const version = `${entryVersion(model)}-${stamp}`;
  if ((await writtenVersion(modelId, artifacts)) === version) return true;
  await artifacts.remove(avatarPictureKeys.folder(modelId));
  for (const { index } of pictures) await writeOne(avatar, version, index, artifacts);
  const list: AvatarPictures = { version, ...avatar.size, total: avatar.frameCount, pictures };
  await artifacts.put(avatarPictureKeys.list(modelId), JSON.stringify(list));
  return true;
}

async function writeOne(avatar: Avatar, version: string, index: number, artifacts: ArtifactStore): Promise<void> {
  const file = await readPictureFile(avatar.source(index).background);
  const small = await sharp(file)
    .autoOrient()
    .resize({ width: LONGER_SIDE, height: LONGER_SIDE, fit: 'inside', withoutEnlargement: true })
    .flatten({ background: avatar.backdrop && 'colour' in avatar.backdrop ? avatar.backdrop.colour : BEHIND_CLEAR })
    .jpeg({ quality: JPEG_QUALITY })
    .toBuffer();
  const key = avatarPictureKeys.picture(avatar.modelId, version, index);
  await artifacts.put(key, small);
}

/** What the files hash to. */
async function contentOf(files: readonly string[]): Promise<string> {
  const hashes = await Promise.all(files.map(hashFile));
  const hash = createHash('sha256').update(hashes.map(({ sha256 }) => sha256).join());
  return hash.digest('hex').slice(0, 12);
}

/** Says that the pictures of these avatars are still wanted. */
export async function touchSmallPictures(modelIds: readonly string[], artifacts: ArtifactStore): Promise<void> {
  for (const modelId of modelIds) {
    await artifacts.touch(avatarPictureKeys.list(modelId));
  }
}

/**
 * Removes the pictures of avatars that no media worker has said to be wanted for an hour, whatever its configuration.
 * @param unusedAfterMs how long that is.
 */
export async function removeUnusedSmallPictures(
  artifacts: ArtifactStore,
  unusedAfterMs = UNUSED_AFTER_MS,
): Promise<void> {
  const quietMs = new Map<string, number>();
  for await (const { key, quietMs: ms } of artifacts.list(avatarPictureKeys.all)) {
    const modelId = key.split('/')[1] ?? '';
    // A list that is not there yet is being made; where it is, it alone is touched, and so the youngest.
    quietMs.set(modelId, Math.min(ms, quietMs.get(modelId) ?? ms));
  }
  for (const [modelId, ms] of quietMs) {
    if (ms > unusedAfterMs) await artifacts.remove(avatarPictureKeys.folder(modelId));
  }
}

/** The entry does not change when its files do: another text when one of them has another size or time. */
async function stampOf(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files) {
    const { size = 0, mtimeMs = 0 } = (await stat(file).catch(ifMissing())) ?? {};
    hash.update(`${file}\n${size}\n${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 12);
}

async function writtenVersion(modelId: string, artifacts: ArtifactStore): Promise<string | undefined> {
  const text = await artifacts.contents(avatarPictureKeys.list(modelId));
  if (text === undefined) return undefined;
  try {
    return avatarPicturesSchema.safeParse(JSON.parse(text.toString())).data?.version;
  } catch {
    // Cut off by hand or by a disk: it is written again.
    return undefined;
  }
}

function evenlySpaced(total: number): number[] {
  const count = Math.min(MOST_PICTURES, total);
  return Array.from({ length: count }, (_, at) => Math.floor((at * total) / count));
}
