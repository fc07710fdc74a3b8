/**
 * The dataset folder that an avatar was trained from, as SyncTalk_2D and Ultralight-Digital-Human lay it out:
 * `full_body_img/N.jpg` or the video itself, `landmarks/N.lms`, and `parsing/N.png` where there are masks.
 */

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FarmError } from '../../shared/errors.ts';
import { readWholeFile } from '../../shared/regular-file.ts';
import { decodeText } from '../../shared/text-file.ts';
import type { Rect } from '../pipeline/contract.ts';
import { listBackgroundFiles } from './background-files.ts';
import { checkCropRects } from './crop-rects.ts';
import { cropRectFromLandmarks } from './landmarks.ts';
import { type PictureSize, readPictureSize } from './picture-file.ts';

export const PICTURES_FOLDER = 'full_body_img';
const LANDMARKS_FOLDER = 'landmarks';
const MASKS_FOLDER = 'parsing';
const LANDMARKS_NAME = /^(\d+)\.lms$/;
const VIDEO_NAME = /\.(mp4|mov|mkv|avi|webm)$/i;
/** Beside a video of another rate, the copy at the rate of the pictures that preprocessing leaves. */
const CONVERTED_VIDEO = /_25fps\.\w+$/i;
/** Names or numbers that a message lists. */
const LISTED = 5;

export interface Dataset {
  readonly folder: string;
  /** Where the pictures are, or the video that has them. */
  readonly pictures: { readonly kind: 'folder' | 'video'; readonly path: string };
  readonly landmarksFolder: string;
  /** Absent where there are no masks. */
  readonly masksFolder?: string;
}

/**
 * Finds the parts of a dataset folder by their names.
 * @throws FarmError `input_unreadable`: no such folder; `model_unusable`: all that is missing at once: landmarks, and
 * pictures or one video of them, with what the folder has instead.
 */
export async function findDataset(folder: string): Promise<Dataset> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new FarmError('input_unreadable', `the dataset folder ${folder} cannot be read: ${whyUnread(cause)}`, {
      cause,
    });
  });
  const names = entries.map(({ name }) => name).sort();
  const faults: string[] = [];
  if (!names.includes(LANDMARKS_FOLDER)) {
    faults.push(`${folder} has no folder ${LANDMARKS_FOLDER}: expected ${LANDMARKS_FOLDER}/0.lms, 1.lms, …`);
  }
  const hasPictures = names.includes(PICTURES_FOLDER);
  const video = hasPictures ? undefined : chooseVideo(names);
  if (!hasPictures && video === undefined) {
    const videos = names.filter((name) => VIDEO_NAME.test(name));
    const found = videos.length === 0 ? 'no video' : `the videos ${videos.join(', ')}`;
    faults.push(`${folder} has no folder ${PICTURES_FOLDER} and ${found}: expected the pictures, or one video of them`);
  }
  if (faults.length > 0) {
    const inner = entries.filter(
      (entry) => entry.isDirectory() && existsSync(join(folder, entry.name, LANDMARKS_FOLDER)),
    );
    const has = names.length === 0 ? 'it is empty' : `it has ${listed(names)}`;
    const hint = inner.length === 0 ? '' : `; ${listed(inner.map(({ name }) => name))} in it can be imported`;
    throw unusable(`${faults.join('; ')}; ${has}${hint}`);
  }
  return {
    folder,
    pictures: { kind: hasPictures ? 'folder' : 'video', path: join(folder, video ?? PICTURES_FOLDER) },
    landmarksFolder: join(folder, LANDMARKS_FOLDER),
    ...(names.includes(MASKS_FOLDER) ? { masksFolder: join(folder, MASKS_FOLDER) } : {}),
  };
}

function whyUnread({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such folder';
  return code === 'ENOTDIR' ? 'it is a file' : message;
}

/** The crop rects that a folder of landmarks gives, by the numbers of its files. */
export interface LandmarkRects {
  readonly folder: string;
  readonly byNumber: ReadonlyMap<number, Rect>;
}

/** @throws FarmError `model_unusable`: no folder, or a file that has no landmarks. */
export async function readLandmarkRects(folder: string): Promise<LandmarkRects> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the landmarks cannot be read: ${cause.message}`, { cause });
  });
  const byNumber = new Map<number, Rect>();
  for (const name of names) {
    const digits = LANDMARKS_NAME.exec(name)?.[1];
    if (digits === undefined) continue;
    const path = join(folder, name);
    const { text } = decodeText(await readLandmarks(path), path, 'model_unusable');
    byNumber.set(Number(digits), cropRectFromLandmarks(text, path));
  }
  return { folder, byNumber };
}

async function readLandmarks(path: string): Promise<Buffer> {
  return await readWholeFile(path).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the landmarks cannot be read: ${cause.message}`, { cause });
  });
}

/**
 * The rects of pictures in their order, from the landmarks of the same numbers.
 * @param pictureNumbers ascending.
 * @param pictures where they are, for messages.
 * @throws FarmError `model_unusable`: landmarks that are missing or without a picture.
 */
export function matchRects(pictureNumbers: readonly number[], pictures: string, landmarks: LandmarkRects): Rect[] {
  const { folder, byNumber } = landmarks;
  const bare = pictureNumbers.filter((number) => !byNumber.has(number));
  const known = new Set(pictureNumbers);
  const left = [...byNumber.keys()].filter((number) => !known.has(number)).sort((a, b) => a - b);
  if (bare.length > 0 || left.length > 0) {
    const counts = `${pictureNumbers.length} pictures in ${pictures}, ${byNumber.size} landmark files in ${folder}`;
    const faults = [
      ...(bare.length > 0 ? [`no landmarks for picture ${listed(bare)}`] : []),
      ...(left.length > 0 ? [`no picture for landmarks ${listed(left)}`] : []),
    ];
    throw unusable(`${counts}: ${faults.join('; ')}; expected one .lms file a picture, of the same number`);
  }
  return pictureNumbers.map((number) => byNumber.get(number) as Rect);
}

export interface DatasetRects {
  /** One a picture, all inside it. */
  readonly rects: readonly Rect[];
  readonly paths: readonly string[];
  /** Of the first picture, upright. */
  readonly size: PictureSize;
}

/**
 * The crop rects of all pictures, from the landmarks of the same numbers.
 * @param picturesFolder numbered pictures.
 * @throws FarmError `model_unusable`: pictures that openAvatar would refuse; landmarks that are missing or without a
 * picture; a rect outside its picture.
 */
export async function rectsOfPictures(picturesFolder: string, landmarks: LandmarkRects): Promise<DatasetRects> {
  const paths = await listBackgroundFiles(picturesFolder);
  const numbers = paths.map((path) => Number(/\d+/.exec(basename(path))?.[0]));
  const rects = matchRects(numbers, picturesFolder, landmarks);
  const size = await readPictureSize(paths[0] as string);
  checkCropRects(rects, { ...size, frameCount: rects.length }, landmarks.folder);
  return { rects, paths, size };
}

/** The one video, or the one at the rate of the pictures beside its original. */
function chooseVideo(names: readonly string[]): string | undefined {
  const videos = names.filter((name) => VIDEO_NAME.test(name));
  const converted = videos.filter((name) => CONVERTED_VIDEO.test(name));
  const [only, ...others] = converted.length > 0 ? converted : videos;
  return others.length === 0 ? only : undefined;
}

function listed(names: readonly (number | string)[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return `${names.slice(0, LISTED).join(', ')}${more}`;
}

function unusable(message: string): FarmError {
  return new FarmError('model_unusable', message);
}
