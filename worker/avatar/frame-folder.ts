/** A folder of an avatar's pictures that may still have to be made from a video. */

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, parse, resolve } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { holdLock } from '../../shared/files/folder-lock.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { VideoFacts } from '../media/video-facts.ts';
import { hasBackgroundFiles } from './background-files.ts';
import { checkedFacts, extractFrames, type PictureFormat, removeDrafts } from './extract-frames.ts';

const GOING_ON = AbortSignal.any([]);

/** Pictures as files, as a video, or as both, where the files have precedence. */
export interface FrameSource {
  /** Folder of numbered pictures; `""`: one beside the video, made from it. */
  readonly folder: string;
  /** Video whose pictures go into the folder when it has none; `""`: there is none. */
  readonly video: string;
  /** Pictures used at most, all when absent. */
  readonly frameLimit: number | undefined;
  readonly format: PictureFormat;
  /** Pictures a second that are taken from the video: the avatar's rate. 25 when absent. */
  readonly rate?: FrameRate | undefined;
  /**
   * Pictures that the video must have, and what for: "2 crop rects in …"; any number will do when absent. With `exactly`
   * no more than these.
   */
  readonly needed?: { readonly frames: number; readonly for: string; readonly exactly?: boolean } | undefined;
}

/**
 * The folder with the pictures, which are extracted first when it has none. Processes that ask at the same time, on one
 * machine or several, extract once; an extraction that was interrupted is done again.
 * @returns path of the folder. Without a video it is not looked into.
 * @throws FarmError as extractFrames does; `signal.reason` once the signal is aborted.
 */
export async function readyFrameFolder(source: FrameSource, signal: AbortSignal): Promise<string> {
  const folder = await locateFrames(source);
  if (source.video === '' || (await hasBackgroundFiles(folder))) return folder;
  const { dir, base } = parse(folder);
  await using _lock = await holdLock(join(dir, `.${base}.lock`), signal).catch((cause: unknown) => {
    if (signal.aborted || !(cause instanceof Error)) throw cause;
    const what = `pictures of ${source.video} cannot be written to ${folder}: ${cause.message}`;
    throw new FarmError('storage_failed', what, { cause });
  });
  if (await hasBackgroundFiles(folder)) return folder;
  await removeDrafts(folder);
  const check = (found: number, facts: VideoFacts) => refuseOtherCount(found, facts, source);
  // Pictures up to a limit tell nothing of how many the video has.
  const expected = source.frameLimit === undefined ? source.needed?.frames : undefined;
  await extractFrames(source.video, folder, { ...source, expected, check }, signal);
  return folder;
}

function refuseOtherCount(found: number, { rate: own }: VideoFacts, { video, rate, needed }: FrameSource): void {
  if (needed === undefined || found === needed.frames || (found > needed.frames && !needed.exactly)) return;
  const wanted = String(rate ?? USUAL_FRAME_RATE);
  const why = [
    ...(found < needed.frames ? ['it was cut off, or they belong to another video or rate'] : []),
    ...(own === undefined || own === wanted
      ? []
      : [`the video itself has ${own} pictures a second: what is given for each of those does not fit`]),
    ...(found < needed.frames || own === wanted
      ? [`num_frames: ${Math.min(found, needed.frames)} uses what is there`]
      : []),
  ];
  throw new FarmError(
    'model_unusable',
    `the video ${video} has ${found} pictures at ${wanted} a second, for ${needed.for}: ${why.join('; ')}`,
  );
}

/**
 * The video that has to be extracted before the avatar can be opened, undefined when there is none.
 * @throws FarmError `model_unusable` when there is one and it cannot be read.
 */
export async function pendingVideo(source: FrameSource): Promise<string | undefined> {
  if (source.video === '' || (await hasBackgroundFiles(await locateFrames(source)))) return undefined;
  await statVideo(source.video);
  return source.video;
}

/**
 * Like pendingVideo, but also checks whether the pictures can be extracted, as far as the video's headers show it.
 * @throws FarmError `model_unusable` when they cannot; `dependency_missing` without ffprobe.
 */
export async function checkedPendingVideo(source: FrameSource): Promise<string | undefined> {
  const video = await pendingVideo(source);
  if (video === undefined) return undefined;
  await checkedFacts(video, GOING_ON);
  return video;
}

/**
 * Path of the folder, whether or not it is there: by its name, or one that belongs to this version of the video and
 * this number and rate of pictures.
 * @throws FarmError `model_unusable` when it depends on a video that cannot be read.
 */
export async function locateFrames({ folder, video, frameLimit, format, rate }: FrameSource): Promise<string> {
  if (folder !== '' || video === '') return folder;
  const { size, mtimeMs } = await statVideo(video);
  const usual = [size, Math.round(mtimeMs), frameLimit, format];
  // Folders that were made when there was one rate keep their names.
  const identity = JSON.stringify(rate === undefined || rate === USUAL_FRAME_RATE ? usual : [...usual, rate]);
  const key = createHash('sha256').update(identity).digest('hex').slice(0, 16);
  return `${resolve(video)}.frames-${key}`;
}

async function statVideo(video: string) {
  const found = await stat(video).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the video ${video} cannot be read: ${cause.message}`, { cause });
  });
  if (found.isFile()) return found;
  throw new FarmError('model_unusable', `the video ${basename(video)} in ${dirname(video)} is not a file`);
}
