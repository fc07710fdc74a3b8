import type { Dirent } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { ifMissing } from '../process/unheard.ts';
import { DAY_MS } from '../units.ts';

/** Prepared pictures of avatars that no loaded model has used for long. Workers touch what they use, day by day. */

/** Only what has such a name is ever looked at, whatever folder the configuration names. */
const FOLDER = /^(?:[0-9a-f]{2}|hashes)$/;
const FILE = /^[0-9a-f]{32}\.(?:picture|planes|mouth|json)$/;
/** Half written, by a process that was killed. */
const DRAFT = /^\.[0-9a-f-]{36}$/;
const DRAFT_DAYS = 1;

export interface UnusedPictures {
  readonly folder: string;
  readonly files: readonly string[];
  readonly bytes: number;
}

/**
 * @param folder of the prepared pictures; none need be there.
 * @param days since a file was last used; 0: none is ever unused.
 * @returns undefined when there is nothing to remove.
 * @throws FarmError `storage_failed` when the folder cannot be read.
 */
export async function findUnusedPictures(folder: string, days: number): Promise<UnusedPictures | undefined> {
  if (days === 0) return undefined;
  try {
    const files: string[] = [];
    let bytes = 0;
    for (const inner of (await entriesOf(folder)).filter((entry) => entry.isDirectory() && FOLDER.test(entry.name))) {
      for (const entry of await entriesOf(path.join(folder, inner.name))) {
        const file = path.join(folder, inner.name, entry.name);
        const size = await sizeOfUnused(file, entry, days);
        if (size === undefined) continue;
        files.push(file);
        bytes += size;
      }
    }
    return files.length > 0 ? { folder, files, bytes } : undefined;
  } catch (error) {
    const what = `The prepared pictures in ${folder} cannot be read: ${(error as Error).message}`;
    throw new FarmError('storage_failed', what, { cause: error });
  }
}

/** Whoever still needs one of them prepares it again. @throws the file system's error. */
export async function removeUnusedPictures({ files }: UnusedPictures): Promise<void> {
  for (const file of files) await rm(file, { force: true });
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  return await readdir(folder, { withFileTypes: true }).catch(ifMissing<Dirent[]>([]));
}

async function sizeOfUnused(file: string, entry: Dirent, days: number): Promise<number | undefined> {
  const limitDays = FILE.test(entry.name) ? days : DRAFT.test(entry.name) ? Math.min(days, DRAFT_DAYS) : undefined;
  if (!entry.isFile() || limitDays === undefined) return undefined;
  const found = await stat(file).catch(ifMissing());
  return found !== undefined && Date.now() - found.mtimeMs > limitDays * DAY_MS ? found.size : undefined;
}
