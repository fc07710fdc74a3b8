/** The crop rects that come with an avatar's pictures, by the numbers of the pictures, as they are: with holes. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { readWholeFile } from '../../shared/files/regular-file.ts';
import { decodeText } from '../../shared/files/text-file.ts';
import type { Rect } from '../pipeline/contract.ts';
import { cropRectFromLandmarks } from './landmarks.ts';

const LANDMARKS_NAME = /^(\d+)\.lms$/;
const LANDMARKS_FILE = /\.lms$/i;

export interface GivenRects {
  /** Where they are, for messages. */
  readonly source: string;
  readonly byNumber: ReadonlyMap<number, Rect>;
  /** Why a picture has none though something is there for it, by its number. */
  readonly faults: ReadonlyMap<number, string>;
  /** Names of others like them that have no number, and are left alone. */
  readonly passedOver: readonly string[];
}

/**
 * Reads a folder of landmarks, `0.lms`, `1.lms` and so on. A file that is empty or has other lines leaves a hole.
 * @throws FarmError `model_unusable`: no folder, or a file that cannot be read at all.
 */
export async function readLandmarkRects(folder: string): Promise<GivenRects> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the landmarks cannot be read: ${cause.message}`, { cause });
  });
  const byNumber = new Map<number, Rect>();
  const faults = new Map<number, string>();
  const passedOver: string[] = [];
  for (const name of names.sort()) {
    const digits = LANDMARKS_NAME.exec(name)?.[1];
    if (digits === undefined) {
      if (LANDMARKS_FILE.test(name)) passedOver.push(name);
      continue;
    }
    const path = join(folder, name);
    const file = await readLandmarks(path);
    try {
      byNumber.set(Number(digits), rectOf(file, path));
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      faults.set(Number(digits), error.message);
    }
  }
  return { source: folder, byNumber, faults, passedOver };
}

async function readLandmarks(path: string): Promise<Buffer> {
  return await readWholeFile(path).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the landmarks cannot be read: ${cause.message}`, { cause });
  });
}

function rectOf(file: Buffer, path: string): Rect {
  if (file.length === 0) throw new FarmError('model_unusable', `${path} is empty (0 bytes)`);
  return cropRectFromLandmarks(decodeText(file, path, 'model_unusable').text, path);
}
