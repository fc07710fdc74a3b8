import { FarmError } from '../../shared/errors/farm-error.ts';
import { isSound } from '../../shared/sound/full-scale.ts';

export type SampleFormat = 'F32LE' | 'S16LE';

const SAMPLE_BYTES: Record<SampleFormat, number> = { F32LE: 4, S16LE: 2 };
const S16_SCALE = 32_768;

/** Little-endian PCM → samples in [-1, 1]. `bytes` holds whole samples. */
export function decodePcm(bytes: Buffer, format: SampleFormat): Float32Array {
  const count = bytes.length / SAMPLE_BYTES[format];
  // A message's bytes lie anywhere; a Float32Array must begin at a multiple of 4, so a copy it is.
  if (format === 'F32LE') return new Float32Array(new Uint8Array(bytes).buffer, 0, count);
  const samples = new Float32Array(count);
  for (let index = 0; index < count; index++) samples[index] = bytes.readInt16LE(2 * index) / S16_SCALE;
  return samples;
}

/** Decodes PCM that comes in pieces of any length: a sample may lie in two pieces. */
export class PcmDecoder {
  readonly #format: SampleFormat;
  #rest = Buffer.alloc(0);
  #samplesBefore = 0;

  constructor(format: SampleFormat) {
    this.#format = format;
  }

  /** All samples that are complete now. FarmError('request_invalid') for one that is no number or absurdly loud. */
  push(bytes: Buffer): Float32Array {
    const held = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    const whole = held.length - (held.length % SAMPLE_BYTES[this.#format]);
    // A copy: the message that this is a piece of is not to be kept alive.
    this.#rest = Buffer.from(held.subarray(whole));
    const samples = decodePcm(held.subarray(0, whole), this.#format);
    const wrong = samples.findIndex((sample) => !isSound(sample));
    if (wrong >= 0) {
      const place = this.#samplesBefore + wrong;
      throw new FarmError('request_invalid', `audio: got ${samples[wrong]} as sample ${place}, expected [-1, 1]`);
    }
    this.#samplesBefore += samples.length;
    return samples;
  }

  /** FarmError('request_invalid') when the sound ends in the middle of a sample. */
  end(): void {
    if (this.#rest.length === 0) return;
    const size = SAMPLE_BYTES[this.#format];
    throw new FarmError(
      'request_invalid',
      `audio: got ${this.#rest.length} bytes after ${this.#samplesBefore} whole samples, expected samples of ${size} bytes`,
    );
  }
}
