import { type FileHandle, open } from 'node:fs/promises';
import { progressNoter } from '../../shared/process/progress.ts';
import { MB } from '../../shared/units.ts';
import { readFully } from './mp4-boxes.ts';
import type { Mp4Track } from './mp4-track.ts';

/** Samples of one track that lie one after the other. */
export interface Piece {
  readonly track: 'pictures' | 'sound';
  readonly samples: number;
  readonly bytes: number;
}

/** Written at a time, and all that is held of the samples. */
const BUFFER_BYTES = MB;

/**
 * Writes pieces in their order, each from where its track was read last.
 * @param parts of the tracks, in the order of their samples.
 * @throws UnusualMp4 where a file ends early; the signal's reason; what the file system throws.
 */
export async function copySamples(
  parts: Readonly<Record<Piece['track'], readonly Mp4Track[]>>,
  pieces: readonly Piece[],
  output: FileHandle,
  signal: AbortSignal,
): Promise<void> {
  const noteProgress = progressNoter();
  await using pictures = new SampleReader(parts.pictures);
  await using sound = new SampleReader(parts.sound);
  const readers = { pictures, sound };
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  let filled = 0;
  const flush = async () => {
    signal.throwIfAborted();
    await output.writeFile(buffer.subarray(0, filled));
    filled = 0;
    noteProgress();
  };
  for (const { track, bytes } of pieces) {
    for (let left = bytes; left > 0; ) {
      const length = Math.min(left, BUFFER_BYTES - filled);
      await readers[track].fill(buffer.subarray(filled, filled + length));
      filled += length;
      left -= length;
      if (filled === BUFFER_BYTES) await flush();
    }
  }
  await flush();
}

/** The samples of some files, as if they were one. */
class SampleReader implements AsyncDisposable {
  readonly #parts: { readonly path: string; readonly at: number; readonly bytes: number }[];
  #file: FileHandle | undefined;
  #at = 0;
  /** Bytes of the open file that are still to be read. */
  #left = 0;

  constructor(parts: readonly Mp4Track[]) {
    this.#parts = parts.map(({ path, start, sizes }) => ({ path, at: start, bytes: sizes.reduce((a, b) => a + b, 0) }));
  }

  /** Fills all of it with what follows. */
  async fill(into: Buffer): Promise<void> {
    for (let filled = 0; filled < into.length; ) {
      const file = this.#left > 0 && this.#file ? this.#file : await this.#next();
      const length = Math.min(this.#left, into.length - filled);
      await readFully(file, into.subarray(filled, filled + length), this.#at);
      this.#at += length;
      this.#left -= length;
      filled += length;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close();
  }

  async #next(): Promise<FileHandle> {
    await this.#file?.close();
    this.#file = undefined;
    const part = this.#parts.shift();
    if (!part) throw new RangeError('There are no more samples');
    this.#file = await open(part.path);
    [this.#at, this.#left] = [part.at, part.bytes];
    return this.#file;
  }
}
