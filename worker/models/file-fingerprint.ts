/** What identifies a model's file: a render's receipt names its inputs by these. */

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
 * Which version of a file or folder is there now, told from its place, size and times without reading it: another
 * string once it has been changed or replaced. The empty string when it cannot be read.
 */
export async function versionOf(path: string): Promise<string> {
  try {
    const [place, { size, mtimeMs, ino }] = await Promise.all([realpath(path), stat(path)]);
    return [place, size, mtimeMs, ino].join('|');
  } catch {
    return '';
  }
}
