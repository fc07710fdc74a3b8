import type { StereoBlock } from './stereo-mix.ts';

/** How often per second the mix for the mouth is decided again: every 40 ms, a frame. */
const DECISIONS_PER_SECOND = 25;
/** Part of a loudness that is forgotten at each decision: it is that of the last 100 ms or so. */
const FORGETTING = 0.5;
/** 10 dB: what left and right have in common must be that much quieter than what they have against each other. */
const MUCH_LOUDER = 10;

/**
 * Left and right → what the mouth hears: their mean, (L + R) / 2. Where one ear's sound is the other's turned upside
 * down (a cable with swapped wires, a "wide" effect) the mean would be silence, and the mouth hears (L − R) / 2.
 */
export class MonoMix {
  readonly #blockSamples: number;
  #commonEnergy = 0;
  #opposedEnergy = 0;
  /** 0: the mean is heard, 1: the difference. */
  #opposed = 0;

  /** @param sampleRateHz of both sides. */
  constructor(sampleRateHz: number) {
    this.#blockSamples = Math.round(sampleRateHz / DECISIONS_PER_SECOND);
  }

  /** The result depends on where the pieces are cut: give them always in the same lengths, best whole frames. */
  mix({ left, right }: StereoBlock): Float32Array {
    if (left === right) return left;
    const mono = new Float32Array(left.length);
    for (let start = 0; start < left.length; start += this.#blockSamples) {
      this.#mixBlock(left, right, mono, start, Math.min(left.length, start + this.#blockSamples));
    }
    return mono;
  }

  #mixBlock(left: Float32Array, right: Float32Array, mono: Float32Array, start: number, end: number): void {
    const before = this.#opposed;
    this.#decide(left, right, start, end);
    const step = (this.#opposed - before) / (end - start);
    for (let at = start; at < end; at++) {
      // Fades over from one block to the next one, so that nothing clicks.
      const sign = 1 - 2 * (before + step * (at - start + 1));
      mono[at] = ((left[at] as number) + sign * (right[at] as number)) / 2;
    }
  }

  #decide(left: Float32Array, right: Float32Array, start: number, end: number): void {
    let common = 0;
    let opposed = 0;
    for (let at = start; at < end; at++) {
      common += ((left[at] as number) + (right[at] as number)) ** 2;
      opposed += ((left[at] as number) - (right[at] as number)) ** 2;
    }
    this.#commonEnergy += common - FORGETTING * this.#commonEnergy;
    this.#opposedEnergy += opposed - FORGETTING * this.#opposedEnergy;
    if (this.#opposedEnergy > MUCH_LOUDER * this.#commonEnergy) this.#opposed = 1;
    else if (this.#commonEnergy >= this.#opposedEnergy) this.#opposed = 0;
  }
}
