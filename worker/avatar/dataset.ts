/**
 * The dataset folder that an avatar was trained from, as SyncTalk_2D and Ultralight-Digital-Human lay it out:
 * `full_body_img/N.jpg` or the video itself, `landmarks/N.lms`, and `parsing/N.png` where there are masks. Or an avatar
 * of LiveTalking: `full_imgs/N.png` and `coords.pkl`.
 */

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { listBackgroundFiles, numberOfPicture } from './background-files.ts';
import { readCoordRects } from './coords-file.ts';
import { type FilledRects, fillRects } from './fill-rects.ts';
import { type GivenRects, readLandmarkRects } from './given-rects.ts';
import { type PictureSize, readPictureSize } from './picture-file.ts';

export const PICTURES_FOLDER = 'full_body_img';
const LANDMARKS_FOLDER = 'landmarks';
const MASKS_FOLDER = 'parsing';
/** As LiveTalking lays out an avatar. */
const LIVE_PICTURES_FOLDER = 'full_imgs';
const LIVE_COORDS_FILE = 'coords.pkl';
const PICTURE_LIKE = /\.(png|jpe?g|bmp|webp|tiff?)$/i;
const VIDEO_NAME = /\.(mp4|mov|mkv|avi|webm)$/i;
/** Beside a video of another rate, the copy at the rate of the pictures that preprocessing leaves. */
const CONVERTED_VIDEO = /_25fps\.\w+$/i;
/** Names or numbers that a message lists. */
const LISTED = 5;

export interface Dataset {
  readonly folder: string;
  /** Where the pictures are, or the video that has them. */
  readonly pictures: { readonly kind: 'folder' | 'video'; readonly path: string };
  /** What gives the crop rects: a folder of landmarks, or the boxes of LiveTalking. */
  readonly rects: { readonly kind: 'landmarks' | 'coords'; readonly path: string };
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
  if (names.includes(LIVE_COORDS_FILE) && names.includes(LIVE_PICTURES_FOLDER)) {
    const pictures = { kind: 'folder', path: join(folder, LIVE_PICTURES_FOLDER) } as const;
    return { folder, pictures, rects: { kind: 'coords', path: join(folder, LIVE_COORDS_FILE) } };
  }
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
    rects: { kind: 'landmarks', path: join(folder, LANDMARKS_FOLDER) },
    ...(names.includes(MASKS_FOLDER) ? { masksFolder: join(folder, MASKS_FOLDER) } : {}),
  };
}

function whyUnread({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOENT') return 'there is no such folder';
  return code === 'ENOTDIR' ? 'it is a file' : message;
}

export interface DatasetRects extends FilledRects {
  readonly paths: readonly string[];
  /** Numbers of the pictures, as their names have them. */
  readonly numbers: readonly number[];
  /** Of the first picture, upright. */
  readonly size: PictureSize;
}

/** The rects that come with a dataset's pictures. @throws as readLandmarkRects and readCoordRects do. */
export async function readRects({ rects }: Dataset): Promise<GivenRects> {
  return rects.kind === 'landmarks' ? await readLandmarkRects(rects.path) : await readCoordRects(rects.path);
}

/**
 * The crop rects of all pictures, from what is given for the same numbers.
 * @param picturesFolder numbered pictures.
 * @param strict refuses what is missing or left over; otherwise it is filled or left out, which a finding tells.
 * @throws FarmError `model_unusable`: pictures that openAvatar would refuse; what fillRects refuses.
 */
export async function rectsOfPictures(
  picturesFolder: string,
  given: GivenRects,
  { strict }: { readonly strict: boolean },
): Promise<DatasetRects> {
  const paths = await listBackgroundFiles(picturesFolder);
  const numbers = paths.map((path) => numberOfPicture(path) as number);
  const size = await readPictureSize(paths[0] as string);
  const { rects, findings } = fillRects(numbers, given, { strict, pictures: picturesFolder, size });
  const others = (await readdir(picturesFolder)).filter(
    (name) => PICTURE_LIKE.test(name) && !paths.includes(join(picturesFolder, name)),
  );
  if (others.length === 0) return { rects, findings, paths, numbers, size };
  const text = `${picturesFolder} has ${listed(others.sort())}, not a picture of the avatar by its name`;
  if (strict) throw unusable(text);
  const more = { code: 'names_passed_over', text: `${text}: left out`, pictures: [] };
  return { rects, findings: [...findings, more], paths, numbers, size };
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
