/** Finds an avatar's pictures in a folder, whatever numbering its maker used. */

import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { rangesInWords } from './number-ranges.ts';

/** frame_%06d, frame_%04d, frame_%d, %06d, %04d or %d, as .png, .jpg or .jpeg. */
const PICTURE_NAME = /^(?<prefix>frame_)?(?<digits>\d+)\.(?<extension>png|jpe?g)$/i;
/** Pictures may be numbered from 0 or from 1. */
const HIGHEST_FIRST_NUMBER = 1;

interface NumberedFile {
  readonly number: number;
  readonly name: string;
}

/**
 * The numbered pictures of a folder in order. Files with other names are ignored.
 * @param folder path of the folder.
 * @param frameLimit how many pictures the avatar has; more are ignored, fewer are an error. Default: all there are.
 * @returns paths by frame index, at least one.
 * @throws FarmError `model_unusable`: no such folder, no pictures, a gap in the numbers (the first missing one is named),
 * two pictures of one number, or fewer than `frameLimit`.
 */
export async function listBackgroundFiles(folder: string, frameLimit?: number): Promise<string[]> {
  const files = await listNumberedFiles(folder);
  const first = files[0];
  if (first === undefined) {
    throw unusable(`${folder} has no pictures: expected frame_000000.png, 0000.jpg or the like, from 0 or 1`);
  }
  const start = Math.min(first.number, HIGHEST_FIRST_NUMBER);
  const used = files.slice(0, frameLimit);
  for (const [index, file] of used.entries()) {
    const expected = start + index;
    if (file.number === expected) continue;
    if (file.number < expected) {
      throw unusable(`${folder} has two pictures of number ${file.number}: ${used[index - 1]?.name} and ${file.name}`);
    }
    throw unusable(
      `${folder} has a gap: ${nameLike(first.name, expected)} is missing, the next picture is ${file.name} ` +
        `(${files.length} pictures found, numbered from ${first.number}; missing: ${missingIn(files, start)})`,
    );
  }
  if (frameLimit !== undefined && used.length < frameLimit) {
    throw unusable(`${folder} has ${used.length} pictures: expected num_frames = ${frameLimit}`);
  }
  return used.map((file) => join(folder, file.name));
}

/**
 * The numbered pictures of a folder, by number.
 * @returns paths, at least one.
 * @throws FarmError `model_unusable`: no such folder, no pictures, or two of one number.
 */
export async function listNumberedPictures(folder: string): Promise<ReadonlyMap<number, string>> {
  const byNumber = new Map<number, string>();
  for (const { number, name } of await listNumberedFiles(folder)) {
    const other = byNumber.get(number);
    if (other) throw unusable(`${folder} has two pictures of number ${number}: ${basename(other)} and ${name}`);
    byNumber.set(number, join(folder, name));
  }
  if (byNumber.size === 0) throw unusable(`${folder} has no pictures: expected 0.png, 1.png, …`);
  return byNumber;
}

/** The number in a picture's name; undefined for any other file. */
export function numberOfPicture(path: string): number | undefined {
  const digits = PICTURE_NAME.exec(basename(path))?.groups?.digits;
  return digits === undefined ? undefined : Number(digits);
}

/** Whether a folder exists and has a picture that can be one of an avatar. */
export async function hasBackgroundFiles(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(ifMissing<string[]>([]));
  return names.some((name) => PICTURE_NAME.test(name));
}

async function listNumberedFiles(folder: string): Promise<NumberedFile[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FarmError('model_unusable', `the folder of pictures cannot be read: ${reason}`, { cause });
  }
  return names
    .flatMap((name) => {
      const number = numberOfPicture(name);
      return number === undefined ? [] : [{ name, number }];
    })
    .sort((a, b) => a.number - b.number || (a.name < b.name ? -1 : 1));
}

function missingIn(files: readonly NumberedFile[], start: number): string {
  const gaps = files.flatMap(({ number }, at) => {
    const first = at === 0 ? start : (files[at - 1] as NumberedFile).number + 1;
    return number > first ? [{ first, last: number - 1 }] : [];
  });
  return rangesInWords(gaps);
}

/** The name of picture `number` in the style of a name that is there, padded as that one is. */
function nameLike(name: string, number: number): string {
  return name.replace(/\d+/, (digits) => String(number).padStart(digits.length, '0'));
}

function unusable(message: string): FarmError {
  return new FarmError('model_unusable', message);
}
