import { randomUUID } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { makeDataFolder } from '../files/data-folder.ts';
import { ifMissing, ignored } from '../process/unheard.ts';
import { linkOnce } from './link-once.ts';
import { type FarmMark, MARK_NAME } from './mark.ts';

/** The mark in a data folder. */
export function folderMark(storageRoot: string): FarmMark {
  const file = path.join(storageRoot, MARK_NAME);
  return {
    place: `the data folder ${storageRoot}`,
    howToWrite: (id) => `write ${id} into ${file}`,
    howToShow: `make the folder ${path.join(storageRoot, 'renders')}`,
    read: async () => await readFile(file, 'utf8').catch(ifMissing()).catch(throwUnusable(storageRoot)),
    async writeOnce(id) {
      const draft = `${file}.${randomUUID()}`;
      try {
        await makeDataFolder(storageRoot);
        await writeFile(draft, `${id}\n`);
        return await linkOnce(draft, file);
      } catch (error) {
        return throwUnusable(storageRoot)(error);
      } finally {
        await rm(draft, { force: true }).catch(ignored('a draft beside the file does no harm'));
      }
    },
    holdsRenders: async () => (await readdir(storageRoot).catch(ifMissing<string[]>([]))).includes('renders'),
  };
}

function throwUnusable(storageRoot: string): (cause: unknown) => never {
  return (cause) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FarmError('storage_failed', `The data folder ${storageRoot} cannot be used: ${reason}`, { cause });
  };
}
