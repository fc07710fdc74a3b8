/** The parts of an avatar that is imported: looked for, read and checked, with nothing written but a video's pictures. */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { AUDIO_KIND_FACTS, type AudioKind } from '../../shared/sound/audio-kinds.ts';
import {
  type Dataset,
  type DatasetRects,
  findDataset,
  PICTURES_FOLDER,
  readRects,
  rectsOfPictures,
} from '../avatar/dataset.ts';
import { extractFrames } from '../avatar/extract-frames.ts';
import { requireAllPictures } from '../avatar/fill-rects.ts';
import { findMasks } from '../avatar/mask-files.ts';
import { checkPictures } from '../avatar/picture-file.ts';
import type { VideoFacts } from '../media/video-facts.ts';
import { findImportNetworks, type ImportNetworks } from './import-networks.ts';
import type { ImportOptions } from './import-options.ts';

/** Looks for everything first, so that one error names all that is missing. */
export async function findParts(options: ImportOptions): Promise<{ dataset: Dataset; networks: ImportNetworks }> {
  const [dataset, networks] = await Promise.allSettled([
    findDataset(options.folder).then(refuseOtherBoxes),
    findImportNetworks(options),
  ]);
  if (dataset.status === 'fulfilled' && networks.status === 'fulfilled') {
    return { dataset: dataset.value, networks: networks.value };
  }
  const reasons: unknown[] = [dataset, networks].flatMap((part) => (part.status === 'rejected' ? [part.reason] : []));
  // In a folder that cannot be read nothing is missing.
  const other = reasons.find((reason) => !(reason instanceof FarmError) || reason.code !== 'model_unusable');
  if (other !== undefined) throw other;
  const messages = reasons.map((reason) => (reason as FarmError).message);
  throw new FarmError('model_unusable', messages.join('\n      '), { cause: reasons[0] });
}

/** An avatar of LiveTalking for another kind of network has none that fits: its boxes say why. */
async function refuseOtherBoxes(dataset: Dataset): Promise<Dataset> {
  if (dataset.rects.kind === 'coords') await readRects(dataset);
  return dataset;
}

/** Makes a folder that is not there; `undo` removes all that was made for it. */
export async function makeFolder(folder: string, undo: AsyncDisposableStack): Promise<void> {
  const made = await mkdir(folder, { recursive: true }).catch((cause: Error) => {
    throw new FarmError('storage_failed', `${folder} cannot be made: ${cause.message}`, { cause });
  });
  if (made !== undefined) undo.defer(() => rm(made, { recursive: true, force: true }));
}

export interface ImportPictures extends DatasetRects {
  readonly backgroundDir: string;
}

/**
 * The pictures and their rects, with pictures that are still in a video extracted; `undo` removes those again.
 * @param hears what its network hears, which says at what rate pictures are taken from a video.
 */
export async function readyPictures(
  { dataset, hears }: { readonly dataset: Dataset; readonly hears: AudioKind },
  { outDir, strict, say }: ImportOptions,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<ImportPictures> {
  const { pictures } = dataset;
  const given = await readRects(dataset);
  if (pictures.kind === 'folder') {
    const found = await rectsOfPictures(pictures.path, given, { strict });
    await checkPictures(found.paths, found.size, signal);
    return { ...found, backgroundDir: pictures.path };
  }
  const backgroundDir = path.join(outDir, PICTURES_FOLDER);
  // Landmarks were taken of the pictures that the network was trained with.
  const rate = AUDIO_KIND_FACTS[hears].framesPerSecond;
  const check = (count: number, { rate: own }: VideoFacts) => {
    const asItIs = own === undefined || own === String(rate) ? '' : ` (it has ${own} itself)`;
    requireAllPictures(count, `${pictures.path}, at ${rate} a second${asItIs}`, given);
  };
  const note = (text: string) => say('note', text);
  const expected = Math.max(...given.byNumber.keys()) + 1;
  const frames = await extractFrames(pictures.path, backgroundDir, { check, note, rate, expected }, signal);
  undo.defer(() => rm(backgroundDir, { recursive: true, force: true }));
  say('video', `${frames} pictures of ${path.basename(pictures.path)} → ${backgroundDir}`);
  return { ...(await rectsOfPictures(backgroundDir, given, { strict })), backgroundDir };
}

/**
 * The folder of the masks, if each picture has one of its size.
 * @returns "" when they are not wanted, undefined when there are none.
 */
export async function checkMasks(
  { masksFolder }: Dataset,
  { masks, say }: ImportOptions,
  { paths, size }: DatasetRects,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!masks) return '';
  if (masksFolder === undefined) {
    say('masks', 'none: the whole mouth is shown');
    return undefined;
  }
  const found = await findMasks(masksFolder, paths).catch((cause: FarmError) => {
    throw new FarmError(cause.code, `${cause.message}; --no-masks leaves masks out`, { cause });
  });
  await checkPictures(found, size, signal);
  say('masks', `${found.length} in ${masksFolder}: red and white stay the picture's`);
  return masksFolder;
}
