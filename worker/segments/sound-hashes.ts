import { createHash } from 'node:crypto';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { AudioSource, IndexRange } from '../pipeline/contract.ts';

/** 640 KB. */
const SAMPLES_AT_ONCE = 10 * SAMPLE_RATE_HZ;

/** SHA-256 of stretches of one sound; the last one is remembered, since some networks hear all of it for each frame. */
export class SoundHashes {
  readonly #audio: AudioSource;
  #last: { readonly start: number; readonly end: number; readonly hash: Promise<string> } | undefined;

  constructor(audio: AudioSource) {
    this.#audio = audio;
  }

  async of(range: IndexRange): Promise<string> {
    if (this.#last?.start !== range.start || this.#last.end !== range.end) {
      this.#last = { ...range, hash: this.#hash(range) };
    }
    return await this.#last.hash;
  }

  async #hash({ start, end }: IndexRange): Promise<string> {
    const hash = createHash('sha256');
    for (let at = start; at < end; at += SAMPLES_AT_ONCE) {
      const samples = await this.#audio.read({ start: at, end: Math.min(at + SAMPLES_AT_ONCE, end) });
      hash.update(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength));
    }
    return hash.digest('hex');
  }
}
