/** Path, hash and size of a model's file, as receipts of renders name it. */

import { realpath, stat } from 'node:fs/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type FileHash, hashFile } from '../../shared/files/hash-file.ts';
import { externalFilesOf } from '../../shared/onnx/external-files.ts';
import { ignored } from '../../shared/process/unheard.ts';

export interface FileFingerprint extends FileHash {
  readonly path: string;
}

/** @throws FarmError `model_unusable` when the file cannot be read. */
export async function fingerprintFile(file: string): Promise<FileFingerprint> {
  try {
    return { path: file, ...(await hashFile(file)) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FarmError('model_unusable', `${file} cannot be read: ${reason}`, { cause });
  }
}

/** The file of a network first, then those beside it that hold weights of it. @throws as `fingerprintFile`. */
export async function fingerprintNetwork(file: string): Promise<FileFingerprint[]> {
  return await Promise.all([file, ...(await weightsBeside(file))].map(fingerprintFile));
}

/** Files that hold weights of a network, beside its own. */
export async function weightsBeside(file: string): Promise<string[]> {
  return await externalFilesOf(file).catch(ignored('whoever opens it says what is wrong with it', []));
}

/**
 * A string for the present version of a file or folder, made of its real path, size, time and inode without reading it.
 * It differs once the file has been changed or replaced. The empty string when the file is not there.
 */
export async function versionOf(file: string): Promise<string> {
  try {
    const [place, { size, mtimeMs, ino }] = await Promise.all([realpath(file), stat(file)]);
    return [place, size, mtimeMs, ino].join('|');
  } catch {
    return ''; // Not there; whoever opens it says so.
  }
}

/** The same of a network with its weights. */
export async function versionOfNetwork(file: string): Promise<string> {
  return (await Promise.all([file, ...(await weightsBeside(file))].map(versionOf))).join('|');
}
