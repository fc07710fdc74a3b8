import type { FileHandle } from 'node:fs/promises';

/** The parts of a RIFF file, such as WAV: each has a name of four letters and its length before it. */

export const CHUNK_HEADER_BYTES = 8;
export const RIFF_HEADER_BYTES = 12;
/** What a writer that cannot go back leaves as size of the sound: it reaches to the end of the file. */
export const UNKNOWN_SIZES: ReadonlySet<number> = new Set([0, 0xff_ff_ff_ff]);
/** Chunks that are looked at; recordings have a handful. */
export const MOST_CHUNKS = 1000;
/** Names of chunks are printable. */
export const CHUNK_NAME = /^[\x20-\x7e]{4}$/;

export interface WavChunk {
  readonly name: string;
  /** Bytes behind its header, as that says. */
  readonly bytes: number;
}

/** Whether a file begins as a WAV file does. */
export async function isWav(file: FileHandle): Promise<boolean> {
  const form = (await readAt(file, 0, RIFF_HEADER_BYTES)).toString('latin1');
  return form.startsWith('RIFF') && form.endsWith('WAVE');
}

/** The chunk whose header begins at byte `at`; its name is no CHUNK_NAME where the file ends before that. */
export async function chunkAt(file: FileHandle, at: number): Promise<WavChunk> {
  const header = Buffer.alloc(CHUNK_HEADER_BYTES);
  await file.read(header, 0, header.length, at);
  return { name: header.toString('latin1', 0, 4), bytes: header.readUInt32LE(4) };
}

/** Where the chunk after this one begins: at an even place. */
export function afterChunk(at: number, bytes: number): number {
  return at + CHUNK_HEADER_BYTES + bytes + (bytes % 2);
}

/** Up to `length` bytes from byte `at` on; fewer at the end of the file. */
export async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at);
  return buffer.subarray(0, bytesRead);
}
