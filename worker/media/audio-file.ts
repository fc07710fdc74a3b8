import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { openLocalFile } from '../../shared/artifacts/local-file.ts';
import type { ArtifactStore, OpenFile } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { AudioSource, IndexRange } from '../pipeline/contract.ts';

const BYTES_PER_SAMPLE = 4;

/** A headerless little-endian float32 file, read piece by piece so that an hour of sound costs no memory. */
export class AudioFile implements AudioSource, AsyncDisposable {
  readonly sampleCount: number;
  readonly #file: OpenFile;

  private constructor(file: OpenFile) {
    this.#file = file;
    this.sampleCount = Math.floor(file.sizeBytes / BYTES_PER_SAMPLE);
  }

  /** @throws FarmError `storage_failed`. */
  static async open(path: string): Promise<AudioFile> {
    const file = await openLocalFile(path).catch((error: Error) => {
      throw new FarmError('storage_failed', `Could not read the decoded sound: ${error.message}`, { cause: error });
    });
    return new AudioFile(file);
  }

  /** The sound for the mouth of a render. @throws FarmError of the store. */
  static async ofRender(artifacts: ArtifactStore, renderId: string): Promise<AudioFile> {
    return new AudioFile(await artifacts.open(artifactKeys.samples(renderId)));
  }

  async read({ start, end }: IndexRange): Promise<Float32Array> {
    const samples = new Float32Array(end - start);
    const bytes = new Uint8Array(samples.buffer);
    const filled = await this.#file.read(bytes, start * BYTES_PER_SAMPLE);
    if (filled < bytes.length) throw new FarmError('storage_failed', `The decoded sound ends before sample ${end}`);
    return samples;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}
