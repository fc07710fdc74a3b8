/** The folder of prepared pictures: a file for each, named by its key, whole or not there at all. */

import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { DAY_MS } from '../../shared/units.ts';

/** Ends the names of prepared pictures. */
export const PICTURE_SUFFIX = '.picture';
/** A file that was used says so at most so often: retention counts in days. */
const TOUCH_EVERY_MS = DAY_MS / 4;

/** Reads from one open file, and says how many bytes there were. */
export type ReadAt = (into: Uint8Array, position: number) => number;

/**
 * Any number of processes share the folder. Two that write the same picture write the same bytes, and the later one
 * takes the place of the earlier in one step. A file that is removed is prepared again by whoever misses it.
 */
export class PreparedFiles {
  readonly folder: string;
  readonly #suffix: string;
  readonly #disk: DiskReserve;

  /**
   * @param suffix ends the names of its files.
   * @param reserveGb that they leave free on their disk: whatever is kept here can be made again.
   */
  constructor(folder: string, suffix: string = PICTURE_SUFFIX, reserveGb = 0) {
    this.folder = resolve(folder);
    this.#suffix = suffix;
    this.#disk = new DiskReserve(folder, reserveGb, 'storage.prepared_dir');
  }

  /** Where the file of `key` is, whether it is there or not. The first two digits name a folder, so that none is large. */
  pathOf(key: string): string {
    return join(this.folder, key.slice(0, 2), `${key}${this.#suffix}`);
  }

  /**
   * Reads from the file of `key`, which is open while `read` runs. Without waiting: the system has the file in its
   * memory, as a rule, and handing the work to another thread takes longer than to copy it.
   * @returns undefined when the file is not there, cannot be read, or `read` finds it damaged.
   */
  read<T>(key: string, read: (at: ReadAt) => T | undefined): T | undefined {
    let file: number;
    try {
      file = openSync(this.pathOf(key), 'r');
    } catch {
      return undefined; // Not there, or not to be read: it is prepared anew, which says what is wrong with the folder.
    }
    try {
      return read((into, position) => readWhole(file, into, position));
    } catch {
      return undefined; // The disk is damaged there: as above.
    } finally {
      closeSync(file);
    }
  }

  /** Whether there is a file of `key`, whole or not. */
  has(key: string): boolean {
    return statSync(this.pathOf(key), { throwIfNoEntry: false }) !== undefined;
  }

  /** Marks a file as used, for retention. Does nothing when it is not there. */
  async touch(key: string): Promise<void> {
    await markUsed(this.pathOf(key));
  }

  /** @throws the file system's error, or FarmError `storage_full`; nothing is left behind then. */
  async write(key: string, bytes: Uint8Array): Promise<void> {
    await this.#disk.refuseIfShort(bytes.length);
    await writeWhole(this.pathOf(key), bytes);
  }
}

/** Marks a file as used, for retention. Does nothing when it is not there. */
export async function markUsed(path: string): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  const now = new Date();
  if (found === undefined || now.getTime() - found.mtimeMs < TOUCH_EVERY_MS) return;
  await utimes(path, now, now).catch(ignored('where it cannot be marked, it is prepared again in good time'));
}

/** Writes a file beside its place and puts it there in one step. @throws the file system's error. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const draft = join(dirname(path), `.${randomUUID()}`);
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(draft, bytes);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true }).catch(ignored('what is wrong is said by the error before it'));
    throw error;
  }
}

function readWhole(file: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(file, into, done, into.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Says once in a while that the folder cannot be written, and what to do. */
export function noteUnwritable(folder: string): (fault: unknown) => undefined {
  return logged(
    `prepared pictures cannot be written to ${folder}, so they are prepared again each time they are needed: ` +
      'make room there, allow writing, or name another folder in storage.prepared_dir',
  );
}
