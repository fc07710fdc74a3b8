import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { SyncMode } from '../../shared/renders/footage.ts';
import type { FootageOptions } from '../requests.ts';
import { openInput } from './files.ts';

const LANDMARKS_NAME = /^(\d+)\.lms$/;

/**
 * A video of this machine, with where the mouth is in its frames.
 * @param marksPath a file of crop rects (.json) or of landmarks, or the folder of landmarks, `0.lms`, `1.lms`, …, that
 * preprocessing leaves.
 * @throws FarmError `input_unreadable`: what is not there, or a folder whose numbers have a gap.
 */
export async function footageOf(videoPath: string, marksPath: string, syncMode?: SyncMode): Promise<FootageOptions> {
  const video = await openInput(videoPath);
  const mode = syncMode === undefined ? {} : { syncMode };
  const fileName = path.basename(videoPath);
  if (await isFolder(marksPath)) {
    const file = new Blob([await joinedLandmarks(marksPath)]);
    return { video, fileName, marks: { form: 'landmarks', file }, ...mode };
  }
  const form = marksPath.toLowerCase().endsWith('.json') ? 'rects' : 'landmarks';
  return { video, fileName, marks: { form, file: await openInput(marksPath) }, ...mode };
}

/** The landmark files of a folder, one after the other, by their numbers. */
async function joinedLandmarks(folder: string): Promise<string> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new FarmError('input_unreadable', `${folder} cannot be read: ${cause.message}`, { cause });
  });
  const numbers = names
    .flatMap((name) => LANDMARKS_NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  const [first] = numbers;
  if (first === undefined) {
    throw new FarmError('input_unreadable', `${folder} has no landmarks: expected 0.lms, 1.lms, …, one a frame`);
  }
  const gap = numbers.findIndex((number, index) => number !== first + index);
  if (first > 1 || gap >= 0) {
    const missing = first > 1 ? 0 : first + gap;
    throw new FarmError(
      'input_unreadable',
      `${folder} has no ${missing}.lms: expected one for each frame of the video`,
    );
  }
  const texts: string[] = [];
  for (const number of numbers) texts.push(await readFile(path.join(folder, `${number}.lms`), 'utf8'));
  return texts.join('\n');
}

async function isFolder(place: string): Promise<boolean> {
  const facts = await stat(place).catch((cause: Error) => {
    throw new FarmError('input_unreadable', `${place} cannot be read: ${cause.message}`, { cause });
  });
  return facts.isDirectory();
}
