import type { FileHandle } from 'node:fs/promises';
import { FarmError } from '../../shared/errors.ts';
import { openFile } from '../../shared/regular-file.ts';
import type { AudioSource, IndexRange } from '../pipeline/contract.ts';

const BYTES_PER_SAMPLE = 4;

/** A headerless little-endian float32 file, read piece by piece so that an hour of sound costs no memory. */
export class AudioFile implements AudioSource, AsyncDisposable {
  readonly sampleCount: number;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, sampleCount: number) {
    this.#file = file;
    this.sampleCount = sampleCount;
  }

  static async open(path: string): Promise<AudioFile> {
    const file = await openFile(path).catch((error: Error) => {
      throw new FarmError('storage_failed', `Could not read the decoded sound: ${error.message}`, { cause: error });
    });
    const { size } = await file.stat();
    return new AudioFile(file, Math.floor(size / BYTES_PER_SAMPLE));
  }

  async read({ start, end }: IndexRange): Promise<Float32Array> {
    const samples = new Float32Array(end - start);
    const bytes = new Uint8Array(samples.buffer);
    let filled = 0;
    while (filled < bytes.length) {
      const position = start * BYTES_PER_SAMPLE + filled;
      const { bytesRead } = await this.#file.read(bytes, filled, bytes.length - filled, position);
      if (bytesRead === 0) throw new FarmError('storage_failed', `The decoded sound ends before sample ${end}`);
      filled += bytesRead;
    }
    return samples;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
