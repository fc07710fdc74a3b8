import { createHash } from 'node:crypto';
import { MB } from '../units.ts';
import { openFile } from './regular-file.ts';

/** Bytes read at a time: with 64 KiB it takes three times as long. */
const CHUNK_BYTES = MB;

export interface FileHash {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Reads a file once, in pieces, through one buffer: a stream would leave as much garbage as the file is long.
 * @throws the file system's error.
 */
export async function hashFile(path: string): Promise<FileHash> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let sizeBytes = 0;
  await using file = await openFile(path);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, sizeBytes);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
    sizeBytes += bytesRead;
  }
  return { sha256: hash.digest('hex'), sizeBytes };
}
