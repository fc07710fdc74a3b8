import { type FileHandle, open } from 'node:fs/promises';

/** Samples that are read and written at a time while a file is scaled. */
const SAMPLES_AT_ONCE = 1 << 16;

/** Writes samples to a file without a header, one piece after the other. */
export class SampleWriter implements AsyncDisposable {
  readonly #file: FileHandle;
  #bytes = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Replaces a file that is there. Errors are those of the file system. */
  static async create(path: string): Promise<SampleWriter> {
    return new SampleWriter(await open(path, 'w+'));
  }

  async write(samples: Float32Array | Int16Array): Promise<void> {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    for (let from = 0; from < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, from, bytes.length - from, this.#bytes + from);
      from += bytesWritten;
    }
    this.#bytes += bytes.length;
  }

  /** Multiplies all float32 samples that were written. */
  async scale(factor: number): Promise<void> {
    const samples = new Float32Array(SAMPLES_AT_ONCE);
    const end = this.#bytes;
    this.#bytes = 0;
    while (this.#bytes < end) {
      const { bytesRead } = await this.#file.read(
        samples,
        0,
        Math.min(samples.byteLength, end - this.#bytes),
        this.#bytes,
      );
      const read = samples.subarray(0, bytesRead / Float32Array.BYTES_PER_ELEMENT);
      if (read.length === 0) throw new RangeError(`The file ends at byte ${this.#bytes}, expected ${end}`);
      for (let at = 0; at < read.length; at++) read[at] = (read[at] as number) * factor;
      await this.write(read);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
