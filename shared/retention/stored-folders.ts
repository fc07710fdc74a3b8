import { randomUUID } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import type { Part, RenderFolder } from './leftover.ts';

/**
 * The folders of renders in the store, with their sizes. Ages are by the clock of the store: a file that was written now
 * says what time it is there. FarmError('storage_failed') when anything cannot be read for another reason than that it
 * has gone meanwhile: what cannot be seen is not taken for absent.
 */
export async function readFolders(storageRoot: string): Promise<RenderFolder[]> {
  const root = path.join(storageRoot, 'renders');
  try {
    await mkdir(root, { recursive: true });
    const nowMs = await clockOf(storageRoot);
    const names = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    const folders: RenderFolder[] = [];
    // One after the other: the store is busy with renders.
    for (const { name } of names) {
      const folder = await readFolder(path.join(root, name), name, nowMs);
      if (folder) folders.push(folder);
    }
    return folders;
  } catch (error) {
    throw new FarmError('storage_failed', `The renders in ${root} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

async function clockOf(storageRoot: string): Promise<number> {
  const probe = path.join(storageRoot, `.clock.${randomUUID()}`);
  try {
    await writeFile(probe, '');
    return (await stat(probe)).mtimeMs;
  } finally {
    await rm(probe, { force: true });
  }
}

async function readFolder(folder: string, name: string, nowMs: number): Promise<RenderFolder | undefined> {
  const own = await ifThere(lstat(folder));
  const entries = await ifThere(readdir(folder, { withFileTypes: true }));
  if (!own || !entries) return undefined;
  const parts: Part[] = [];
  for (const entry of entries) {
    const found = await measure(folder, entry);
    if (found) parts.push({ name: entry.name, bytes: found.bytes, quietMs: nowMs - found.newestMs });
  }
  return {
    name,
    parts,
    quietMs: Math.min(nowMs - own.mtimeMs, ...parts.map(({ quietMs }) => quietMs)),
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** Size and last change of a file, or of a folder with all that is in it. */
async function measure(folder: string, entry: Dirent): Promise<{ bytes: number; newestMs: number } | undefined> {
  const place = path.join(folder, entry.name);
  const own = await ifThere(lstat(place));
  if (!own) return undefined;
  let [bytes, newestMs] = [entry.isFile() ? own.size : 0, own.mtimeMs];
  if (!entry.isDirectory()) return { bytes, newestMs };
  for (const inner of (await ifThere(readdir(place, { withFileTypes: true }))) ?? []) {
    const found = await measure(place, inner);
    bytes += found?.bytes ?? 0;
    newestMs = Math.max(newestMs, found?.newestMs ?? 0);
  }
  return { bytes, newestMs };
}

/** Undefined for what went away meanwhile. */
async function ifThere<T>(looked: Promise<T>): Promise<T | undefined> {
  return await looked.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
}
