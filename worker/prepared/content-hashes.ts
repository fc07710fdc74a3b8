/**
 * What the source pictures of an avatar hash to, remembered by path, size and time, so that a load need not read them:
 * in one small file for each folder of pictures. A file that is lost costs the reading of the pictures again.
 */

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { readWholeFile } from '../../shared/files/regular-file.ts';
import { markUsed, writeWhole } from './prepared-files.ts';

/** By name of the picture: its version, and its SHA-256 in hex. */
const memoSchema = z.record(z.string(), z.tuple([z.string(), z.string().regex(/^[0-9a-f]{64}$/)]));
type Memo = Map<string, readonly [version: string, sha256: string]>;

const NAME_DIGITS = 32;

export class ContentHashes {
  readonly #memoFolder: string;
  /** By folder of pictures. */
  readonly #memos = new Map<string, Promise<Memo>>();
  readonly #changed = new Set<string>();

  /** @param memoFolder where the files of this class are. */
  constructor(memoFolder: string) {
    this.#memoFolder = memoFolder;
  }

  /** The hash of a picture file, if it is known for the file as it is now. */
  async find(path: string): Promise<string | undefined> {
    const known = (await this.#memoOf(path)).get(basename(path));
    return known !== undefined && known[0] === (await versionOf(path)) ? known[1] : undefined;
  }

  /** Remembers the hash of a file. @param version of the file before it was read, by `versionOf`. */
  async note(path: string, version: string, sha256: string): Promise<void> {
    if (version === '') return;
    (await this.#memoOf(path)).set(basename(path), [version, sha256]);
    this.#changed.add(folderOf(path));
  }

  /** Writes what is new, beside what other processes have noted. @throws the file system's error. */
  async save(): Promise<void> {
    for (const folder of [...this.#changed]) {
      this.#changed.delete(folder);
      const [theirs, ours] = await Promise.all([this.#read(folder), this.#memos.get(folder)]);
      const text = JSON.stringify(Object.fromEntries([...theirs, ...(ours ?? [])]));
      await writeWhole(this.#fileOf(folder), Buffer.from(text));
    }
  }

  #memoOf(path: string): Promise<Memo> {
    const folder = folderOf(path);
    const memo = this.#memos.get(folder) ?? this.#read(folder);
    this.#memos.set(folder, memo);
    return memo;
  }

  async #read(folder: string): Promise<Memo> {
    try {
      const text = (await readWholeFile(this.#fileOf(folder))).toString();
      await markUsed(this.#fileOf(folder));
      return new Map(Object.entries(memoSchema.parse(JSON.parse(text))));
    } catch {
      return new Map(); // Not there yet, or damaged: the pictures are read again.
    }
  }

  #fileOf(folder: string): string {
    const name = createHash('sha256').update(folder).digest('hex').slice(0, NAME_DIGITS);
    return join(this.#memoFolder, `${name}.json`);
  }
}

/** Another string once the file was changed or replaced; empty when it is not there. */
export async function versionOf(path: string): Promise<string> {
  try {
    const { size, mtimeMs, ino } = await stat(path);
    return [size, mtimeMs, ino].join('|');
  } catch {
    return ''; // Whoever reads it says why.
  }
}

function folderOf(path: string): string {
  return dirname(resolve(path));
}
