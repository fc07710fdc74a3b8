import { type FileHandle, open } from 'node:fs/promises';
import { implausible } from './plausible-sound.ts';
import {
  afterChunk,
  CHUNK_HEADER_BYTES,
  CHUNK_NAME,
  chunkAt,
  isWav,
  MOST_CHUNKS,
  RIFF_HEADER_BYTES,
  UNKNOWN_SIZES,
} from './wav-chunks.ts';

/**
 * ffmpeg reads as much of a WAV file as its header says. A header that was never put right, or that lies, makes it
 * render a moment of the sound as if that were all.
 */

/** Files may be filled up to a whole block of the disk. */
const FILLING_BYTES = 4096;
/** Tags that programs put behind the last chunk. */
const TAG = /^(?:ID3|TAG|APET)/;

/**
 * FarmError('audio_implausible') for a WAV file that has more behind its sound than its header accounts for. Files in
 * other containers pass.
 */
export async function refuseShortWavHeader(path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (await isWav(file)) await walkChunks(file, size);
  } finally {
    await file.close();
  }
}

async function walkChunks(file: FileHandle, fileBytes: number): Promise<void> {
  let soundBytes: number | undefined;
  let at = RIFF_HEADER_BYTES;
  for (let count = 0; count < MOST_CHUNKS && at + CHUNK_HEADER_BYTES <= fileBytes; count++) {
    const { name, bytes } = await chunkAt(file, at);
    if (soundBytes === undefined && name === 'data') {
      if (UNKNOWN_SIZES.has(bytes)) return;
      soundBytes = bytes;
    } else if (soundBytes !== undefined && TAG.test(name)) return;
    else if (!CHUNK_NAME.test(name) || at + CHUNK_HEADER_BYTES + bytes > fileBytes) break;
    at = afterChunk(at, bytes);
  }
  const unaccounted = fileBytes - at;
  if (soundBytes === undefined || unaccounted <= FILLING_BYTES) return;
  throw implausible(
    `${soundBytes} bytes of sound in its header, and ${unaccounted} bytes follow that belong to nothing`,
  );
}
