/**
 * The dataset folder that an avatar was trained from, as SyncTalk_2D and Ultralight-Digital-Human lay it out:
 * `full_body_img/N.jpg` or the video itself, `landmarks/N.lms`, and the exported networks.
 */

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FarmError } from '../../shared/errors.ts';
import type { Rect } from '../pipeline/contract.ts';
import { listBackgroundFiles } from './background-files.ts';
import { checkCropRects } from './crop-rects.ts';
import { cropRectFromLandmarks } from './landmarks.ts';
import { type PictureSize, readPictureSize } from './picture-file.ts';

export const PICTURES_FOLDER = 'full_body_img';
const LANDMARKS_FOLDER = 'landmarks';
const LANDMARKS_NAME = /^(\d+)\.lms$/;
const VIDEO_NAME = /\.(mp4|mov|mkv|avi|webm)$/i;
/** Beside a video of another rate, the copy at the rate of the pictures that preprocessing leaves. */
const CONVERTED_VIDEO = /_25fps\.\w+$/i;
/** File numbers that a message lists. */
const LISTED = 5;

export interface Dataset {
  readonly folder: string;
  /** Where the pictures are, or the video that has them. */
  readonly pictures: { readonly kind: 'folder' | 'video'; readonly path: string };
  readonly landmarksFolder: string;
  /** Every ONNX file in the folder, sorted. */
  readonly onnxPaths: readonly string[];
}

/**
 * Finds the parts of a dataset folder by their names.
 * @throws FarmError `model_unusable`: no such folder, no landmarks, neither pictures nor one video.
 */
export async function findDataset(folder: string): Promise<Dataset> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the dataset folder cannot be read: ${cause.message}`, { cause });
  });
  const names = entries.map(({ name }) => name).sort();
  if (!names.includes(LANDMARKS_FOLDER)) {
    throw unusable(`${folder} has no folder ${LANDMARKS_FOLDER}: expected ${LANDMARKS_FOLDER}/0.lms, 1.lms, …`);
  }
  return {
    folder,
    pictures: names.includes(PICTURES_FOLDER)
      ? { kind: 'folder', path: join(folder, PICTURES_FOLDER) }
      : { kind: 'video', path: join(folder, chooseVideo(folder, names)) },
    landmarksFolder: join(folder, LANDMARKS_FOLDER),
    onnxPaths: names.filter((name) => name.endsWith('.onnx')).map((name) => join(folder, name)),
  };
}

export interface DatasetRects {
  /** One a picture, all inside it. */
  readonly rects: readonly Rect[];
  /** Of the first picture; the others are checked when they are decoded. */
  readonly size: PictureSize;
}

/**
 * The crop rects of all pictures, from the landmarks of the same numbers.
 * @param picturesFolder numbered pictures.
 * @throws FarmError `model_unusable`: pictures that openAvatar would refuse; landmarks that are missing, without a
 * picture or no landmarks; a rect outside its picture.
 */
export async function rectsFromLandmarks(picturesFolder: string, landmarksFolder: string): Promise<DatasetRects> {
  const pictures = await listBackgroundFiles(picturesFolder);
  const pictureNumbers = pictures.map((path) => Number(/\d+/.exec(basename(path))?.[0]));
  const landmarkPaths = await landmarksByNumber(landmarksFolder);
  const bare = pictureNumbers.filter((number) => !landmarkPaths.has(number));
  const known = new Set(pictureNumbers);
  const left = [...landmarkPaths.keys()].filter((number) => !known.has(number)).sort((a, b) => a - b);
  if (bare.length > 0 || left.length > 0) {
    const counts = `${pictures.length} pictures in ${picturesFolder}, ${landmarkPaths.size} landmark files in ${landmarksFolder}`;
    const faults = [
      ...(bare.length > 0 ? [`no landmarks for picture ${listed(bare)}`] : []),
      ...(left.length > 0 ? [`no picture for landmarks ${listed(left)}`] : []),
    ];
    throw unusable(`${counts}: ${faults.join('; ')}; expected one .lms file a picture, of the same number`);
  }
  const rects: Rect[] = [];
  for (const number of pictureNumbers) {
    const path = landmarkPaths.get(number) as string;
    rects.push(cropRectFromLandmarks(await readFile(path, 'utf8'), path));
  }
  const size = await readPictureSize(pictures[0] as string);
  checkCropRects(rects, { ...size, frameCount: rects.length }, landmarksFolder);
  return { rects, size };
}

async function landmarksByNumber(folder: string): Promise<Map<number, string>> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the landmarks cannot be read: ${cause.message}`, { cause });
  });
  return new Map(
    names.flatMap((name): [number, string][] => {
      const digits = LANDMARKS_NAME.exec(name)?.[1];
      return digits === undefined ? [] : [[Number(digits), join(folder, name)]];
    }),
  );
}

function chooseVideo(folder: string, names: readonly string[]): string {
  const videos = names.filter((name) => VIDEO_NAME.test(name));
  const converted = videos.filter((name) => CONVERTED_VIDEO.test(name));
  const [only, ...others] = converted.length > 0 ? converted : videos;
  if (only !== undefined && others.length === 0) return only;
  const found = videos.length === 0 ? 'no video' : `the videos ${videos.join(', ')}`;
  throw unusable(
    `${folder} has no folder ${PICTURES_FOLDER} and ${found}: expected the pictures, or one video of them`,
  );
}

function listed(numbers: readonly number[]): string {
  const more = numbers.length > LISTED ? ` and ${numbers.length - LISTED} more` : '';
  return `${numbers.slice(0, LISTED).join(', ')}${more}`;
}

function unusable(message: string): FarmError {
  return new FarmError('model_unusable', message);
}
