/** Path, hash and size of a model's file, as receipts of renders name it. */

import { realpath, stat } from 'node:fs/promises';
import { FarmError } from '../../shared/errors.ts';
import { type FileHash, hashFile } from '../../shared/hash-file.ts';

export interface FileFingerprint extends FileHash {
  readonly path: string;
}

/** @throws FarmError `model_unusable` when the file cannot be read. */
export async function fingerprintFile(path: string): Promise<FileFingerprint> {
  try {
    return { path, ...(await hashFile(path)) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FarmError('model_unusable', `${path} cannot be read: ${reason}`, { cause });
  }
}

/**
 * A string for the present version of a file or folder, made of its real path, size, time and inode without reading it.
 * It differs once the file has been changed or replaced. The empty string when the file is not there.
 */
export async function versionOf(path: string): Promise<string> {
  try {
    const [place, { size, mtimeMs, ino }] = await Promise.all([realpath(path), stat(path)]);
    return [place, size, mtimeMs, ino].join('|');
  } catch {
    return ''; // Not there; whoever opens it says so.
  }
}
