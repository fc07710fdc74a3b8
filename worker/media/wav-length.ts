import { type FileHandle, open } from 'node:fs/promises';
import { implausible } from './plausible-sound.ts';

/**
 * ffmpeg reads as much of a WAV file as its header says. A header that was never put right, or that lies, makes it
 * render a moment of the sound as if that were all.
 */

const CHUNK_HEADER_BYTES = 8;
const RIFF_HEADER_BYTES = 12;
/** What a writer that cannot go back leaves as size: ffmpeg then reads to the end of the file. */
const UNKNOWN_SIZES = new Set([0, 0xff_ff_ff_ff]);
/** Files may be filled up to a whole block of the disk. */
const FILLING_BYTES = 4096;
/** Chunks that are looked at; recordings have a handful. */
const MOST_CHUNKS = 1000;
/** Names of chunks are printable. */
const CHUNK_NAME = /^[\x20-\x7e]{4}$/;
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
    const form = await textAt(file, 0, RIFF_HEADER_BYTES);
    if (!form.startsWith('RIFF') || !form.endsWith('WAVE')) return;
    await walkChunks(file, size);
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
    // Chunks begin at even places.
    at += CHUNK_HEADER_BYTES + bytes + (bytes % 2);
  }
  const unaccounted = fileBytes - at;
  if (soundBytes === undefined || unaccounted <= FILLING_BYTES) return;
  throw implausible(
    `${soundBytes} bytes of sound in its header, and ${unaccounted} bytes follow that belong to nothing`,
  );
}

async function chunkAt(file: FileHandle, at: number): Promise<{ name: string; bytes: number }> {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  await file.read(header, 0, header.length, at);
  return { name: header.toString('latin1', 0, 4), bytes: header.readUInt32LE(4) };
}

async function textAt(file: FileHandle, at: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.toString('latin1', 0, bytesRead);
}
