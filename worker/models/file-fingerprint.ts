/** What identifies a model's file: a render's receipt names its inputs by these. */

import { createHash } from 'node:crypto';
import { open, realpath, stat } from 'node:fs/promises';
import { FarmError } from '../../shared/errors.ts';

/** Bytes read at a time: with 64 KiB it takes three times as long. */
const CHUNK_BYTES = 1024 * 1024;

export interface FileFingerprint {
  readonly path: string;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Reads a file once, in pieces, through one buffer: a stream would leave as much garbage as the file is long.
 * @throws FarmError `model_unusable` when it cannot be read.
 */
export async function fingerprintFile(path: string): Promise<FileFingerprint> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let sizeBytes = 0;
  try {
    await using file = await open(path);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, sizeBytes);
      if (bytesRead === 0) break;
      hash.update(chunk.subarray(0, bytesRead));
      sizeBytes += bytesRead;
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FarmError('model_unusable', `${path} cannot be read: ${reason}`, { cause });
  }
  return { path, sha256: hash.digest('hex'), sizeBytes };
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
