/** Puts built files in place: all of them or none, and nothing at all when they are there and up to date. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { hashFile } from '../shared/files/hash-file.ts';

const MANIFEST_FILE = 'manifest.json';
/** Tries to put a folder in place while others do; the last one's error is thrown. */
const ROUNDS = 20;

/** What every manifest holds; builders add their own fields. */
export interface Manifest {
  /** SHA-256 over everything the build depends on: another stamp, another build. */
  readonly stamp: string;
  /** SHA-256 of every other file in the folder, by its path. */
  readonly sha256: Readonly<Record<string, string>>;
}

export interface FolderBuild {
  /** Folder to make; the one there before, if any, is replaced. */
  readonly outDir: string;
  readonly stamp: string;
  /** Writes the files into `folder` and returns what the manifest shall say about them. */
  readonly write: (folder: string) => Promise<Record<string, unknown>>;
}

/** @returns whether it built: false when `outDir` held this build already. Safe to run several times at once. */
export async function buildFolder(build: FolderBuild): Promise<boolean> {
  const outDir = resolve(build.outDir);
  if (await isUpToDate(outDir, build.stamp)) return false;
  await mkdir(dirname(outDir), { recursive: true });
  const unfinished = `${outDir}.${randomUUID()}.tmp`;
  try {
    await mkdir(unfinished);
    const about = await build.write(unfinished);
    const manifest = { ...about, stamp: build.stamp, sha256: await hashFiles(unfinished) } satisfies Manifest;
    await writeFile(join(unfinished, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
    await replaceFolder(unfinished, outDir, build.stamp);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return true;
}

/** SHA-256 of the sources in `folders` (not below) and of `extra`. */
export async function stampOf(folders: readonly string[], extra: string): Promise<string> {
  const hash = createHash('sha256').update(extra);
  for (const folder of folders) {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.ts')).sort();
    for (const name of names) hash.update(`\0${name}\0`).update(await readFile(join(folder, name)));
  }
  return hash.digest('hex');
}

async function isUpToDate(outDir: string, stamp: string): Promise<boolean> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(outDir, MANIFEST_FILE), 'utf8'));
    return typeof manifest === 'object' && manifest !== null && 'stamp' in manifest && manifest.stamp === stamp;
  } catch {
    return false; // None, or half written: built anew.
  }
}

/**
 * A rename cannot replace a folder that holds files, so an old one steps aside first. Others may do the same at the same
 * time: whoever finds this build in place is done, and after a few rounds somebody's is.
 */
async function replaceFolder(finished: string, outDir: string, stamp: string): Promise<void> {
  for (let round = 1; !(await isUpToDate(outDir, stamp)); round++) {
    const old = `${outDir}.${randomUUID()}.old`;
    const tooLate = round < ROUNDS ? unlessCode('ENOTEMPTY', 'EEXIST') : unlessCode();
    try {
      await rename(outDir, old).catch(unlessCode('ENOENT'));
      const placed = await rename(finished, outDir).then(() => true, tooLate);
      if (placed) return;
    } finally {
      await rm(old, { recursive: true, force: true });
    }
  }
}

/** A rejection handler that lets these errors of the file system pass and throws all others. */
function unlessCode(...codes: readonly string[]): (error: unknown) => false {
  return (error) => {
    if (error instanceof Error && 'code' in error && codes.some((code) => code === error.code)) return false;
    throw error;
  };
}

async function hashFiles(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hashes: Record<string, string> = {};
  for (const path of paths.sort()) {
    hashes[relative(folder, path).replaceAll('\\', '/')] = (await hashFile(path)).sha256;
  }
  return hashes;
}
