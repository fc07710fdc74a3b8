import { isSound } from '../../shared/sound/full-scale.ts';
import type { SoundForm } from './sound-track.ts';

export interface StereoBlock {
  readonly left: Float32Array;
  /** The same array as `left` for mono sound. */
  readonly right: Float32Array;
}

/** Decoded channels → left and right, block by block; damaged samples are replaced by silence. */
export class StereoMix {
  readonly #gains: SoundForm['gains'];
  #replaced = 0;
  #channelPeak = 0;
  #mixPeak = 0;
  #mono = true;

  constructor({ gains }: SoundForm) {
    this.#gains = gains;
  }

  /** Samples of all channels that were not finite, or absurdly loud, and were replaced by silence. */
  get replacedSamples(): number {
    return this.#replaced;
  }

  /** True while left and right are the same. */
  get isMono(): boolean {
    return this.#mono;
  }

  /**
   * The gain of the mix, so that the sum of several channels is no louder than the loudest of them, and not over full
   * scale. 1 for mono and stereo files in lossless formats, where no channels are added up.
   */
  get levelling(): number {
    const loudest = Math.min(1, this.#channelPeak);
    return this.#gains.length > 2 && this.#mixPeak > loudest ? loudest / this.#mixPeak : 1;
  }

  /** @param samples whole frames of interleaved samples; damaged samples in it are overwritten. */
  mix(samples: Float32Array): StereoBlock {
    this.#silenceDamage(samples);
    const channels = this.#gains.length;
    if (channels === 1) return { left: samples, right: samples };
    const count = samples.length / channels;
    const left = new Float32Array(count);
    const right = new Float32Array(count);
    this.#gains.forEach(([toLeft, toRight], channel) => {
      for (let at = 0, from = channel; at < count; at++, from += channels) {
        const sample = samples[from] as number;
        left[at] = (left[at] as number) + toLeft * sample;
        right[at] = (right[at] as number) + toRight * sample;
      }
    });
    if (channels > 2) this.#mixPeak = Math.max(this.#mixPeak, peakOf(left), peakOf(right));
    this.#mono &&= left.every((sample, at) => sample === right[at]);
    return { left, right };
  }

  #silenceDamage(samples: Float32Array): void {
    let peak = this.#channelPeak;
    for (let at = 0; at < samples.length; at++) {
      const loudness = Math.abs(samples[at] as number);
      if (!isSound(loudness)) {
        samples[at] = 0;
        this.#replaced++;
      } else if (loudness > peak) {
        peak = loudness;
      }
    }
    this.#channelPeak = peak;
  }
}

function peakOf(samples: Float32Array): number {
  let peak = 0;
  for (const sample of samples) if (sample > peak || -sample > peak) peak = Math.abs(sample);
  return peak;
}
