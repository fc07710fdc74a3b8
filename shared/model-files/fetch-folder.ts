import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { hashFile } from '../files/hash-file.ts';
import { shownAddress } from './address.ts';
import { type FetchedFile, type FetchOptions, fetchInto, hashFolder } from './fetch.ts';
import type { FolderEntry } from './source.ts';
import { untar } from './untar.ts';

/** A folder of pictures from an archive, or from a prefix of a bucket. */

export interface FolderOptions extends FetchOptions {
  readonly isArchive: boolean;
  readonly list: (prefix: string) => Promise<FolderEntry[]>;
}

export interface FetchedFolder extends FetchedFile {
  /** Where its files lie. */
  readonly folder: string;
}

/** Pictures that come at the same time. */
const AT_ONCE = 8;

/**
 * Fetches a folder below `draft`, which may hold what an earlier process has fetched of it.
 * @returns undefined when the server has what is known already.
 * @throws FarmError as `fetchInto`; `model_file_missing` for a prefix without files; `model_unusable`.
 */
export async function fetchFolder(
  draft: string,
  address: string,
  options: FolderOptions,
): Promise<FetchedFolder | undefined> {
  return options.isArchive ? await fromArchive(draft, address, options) : await fromPrefix(draft, address, options);
}

async function fromArchive(draft: string, address: string, options: FolderOptions): Promise<FetchedFolder | undefined> {
  const archive = path.join(draft, 'archive');
  const fetched = await fetchInto(archive, address, options);
  if (fetched === undefined) return undefined;
  const folder = path.join(draft, 'files');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  const isPacked = !address.toLowerCase().split('?', 1)[0]?.endsWith('.tar');
  try {
    const bytes = await untar(archive, folder, isPacked, options.makeRoom);
    return { ...fetched, bytes, folder };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function fromPrefix(draft: string, address: string, options: FolderOptions): Promise<FetchedFolder | undefined> {
  const entries = await options.list(address);
  if (entries.length === 0) {
    throw new FarmError('model_file_missing', `There are no files under ${shownAddress(address)}`);
  }
  const tag = versionOf(entries);
  if (tag === options.known) return undefined;
  // What was fetched of another version is none of this one.
  const folder = path.join(draft, tag);
  const parts = path.join(draft, 'parts');
  for (const dir of [folder, parts]) await mkdir(dir, { recursive: true });
  const here = new Set(await readdir(folder));
  const missing = entries.filter(({ name }) => !here.has(name));
  await options.onBegin?.(sum(missing));
  options.onBytes?.(0);
  const left = [...missing];
  const take = async () => {
    for (let entry = left.pop(); entry; entry = left.pop()) await fetchEntry(entry, folder, parts, options);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
  const sha256 = await hashFolder(folder, async (file) => (await hashFile(file)).sha256);
  return { folder, sha256, tag, bytes: sum(entries) };
}

async function fetchEntry(entry: FolderEntry, folder: string, parts: string, options: FolderOptions): Promise<void> {
  const { source, signal, onBytes } = options;
  const part = path.join(parts, entry.name);
  await fetchInto(part, entry.address, { source, signal, ...(onBytes ? { onBytes } : {}) });
  const { size } = await stat(part);
  if (size !== entry.bytes) {
    throw new FarmError('model_unreachable', `${shownAddress(entry.address)} was replaced while its folder was read`);
  }
  await rename(part, path.join(folder, entry.name));
}

/** Another one when a file of it is another one, or has come or gone. */
function versionOf(entries: readonly FolderEntry[]): string {
  const hash = createHash('sha256');
  for (const { name, bytes, tag } of [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    hash.update(`${name}\0${bytes}\0${tag}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

const sum = (entries: readonly FolderEntry[]) => entries.reduce((total, { bytes }) => total + bytes, 0);
