import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { MB } from '../../shared/units.ts';

const LOOK_EVERY_BYTES = 16 * MB;

/** Counts and hashes an upload while it passes. It fails with FarmError('upload_too_large') above `maxMb`. */
export class UploadMeter extends Transform {
  readonly #maxMb: number;
  readonly #hash = createHash('sha256');
  readonly #look: (bytes: number) => Promise<void>;
  #bytes = 0;
  #nextLook = LOOK_EVERY_BYTES;

  /** @param look called with every 16 MB that have passed; ends the upload by throwing. */
  constructor(maxMb: number, look: (bytes: number) => Promise<void>) {
    super();
    this.#maxMb = maxMb;
    this.#look = look;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Hexadecimal; to be asked for once, at the end. */
  sha256(): string {
    return this.#hash.digest('hex');
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#bytes += chunk.length;
    this.#hash.update(chunk);
    if (this.#bytes > this.#maxMb * MB) {
      done(new FarmError('upload_too_large', `The upload is larger than ${this.#maxMb} MB`));
    } else if (this.#bytes < this.#nextLook) {
      done(null, chunk);
    } else {
      this.#nextLook += LOOK_EVERY_BYTES;
      this.#look(LOOK_EVERY_BYTES).then(() => done(null, chunk), done);
    }
  }
}
