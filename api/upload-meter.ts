import { createHash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { FarmError } from '../shared/errors.ts';
import { MB } from '../shared/units.ts';

/** Counts and hashes an upload while it passes. It fails with FarmError('upload_too_large') above `maxMb`. */
export class UploadMeter extends Transform {
  readonly #maxMb: number;
  readonly #hash = createHash('sha256');
  #bytes = 0;

  constructor(maxMb: number) {
    super();
    this.#maxMb = maxMb;
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
    if (this.#bytes <= this.#maxMb * MB) done(null, chunk);
    else done(new FarmError('upload_too_large', `The upload is larger than ${this.#maxMb} MB`));
  }
}
