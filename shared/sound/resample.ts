/**
 * Sound at any rate → 16 kHz, piece by piece. The pieces may be cut anywhere: the result is the same. Uploads and live
 * sound both pass through here, so the same sound gives the same frames at either door.
 */
import { SAMPLE_RATE_HZ } from './rates.ts';

/** Zero crossings of the sinc on each side: stop band near −80 dB with the Blackman window. */
const ZERO_CROSSINGS = 24;
/** Part of the lower Nyquist frequency that passes. */
const PASS_BAND = 0.94;

/** Filter banks that are kept. The largest, of a rate that has no divisor in common with 16 000, has 20 MB. */
const BANKS_KEPT = 4;

/** Outputs that one pass over the taps makes. */
const FILTERED_TOGETHER = 4;

/** The filters of a rate; output n lies at input n · stepNumerator / stepDenominator. */
interface FilterBank {
  readonly stepNumerator: number;
  readonly stepDenominator: number;
  readonly halfTaps: number;
  /** For each place between two input samples. */
  readonly phases: readonly Float64Array[];
}

/** Least recently used first. */
const banks = new Map<number, FilterBank>();

/** The bank of a rate. Making one takes 2 ms for 44 100 Hz and 200 ms for 47 999 Hz, so the last few are kept. */
export function filterBankFor(sourceRateHz: number): FilterBank {
  const bank = banks.get(sourceRateHz) ?? makeFilterBank(sourceRateHz);
  banks.delete(sourceRateHz);
  banks.set(sourceRateHz, bank);
  const [oldest] = banks.keys();
  if (banks.size > BANKS_KEPT && oldest !== undefined) banks.delete(oldest);
  return bank;
}

function makeFilterBank(sourceRateHz: number): FilterBank {
  const divisor = greatestCommonDivisor(sourceRateHz, SAMPLE_RATE_HZ);
  const stepDenominator = SAMPLE_RATE_HZ / divisor;
  const cutoff = PASS_BAND * Math.min(1, SAMPLE_RATE_HZ / sourceRateHz);
  const halfTaps = Math.ceil(ZERO_CROSSINGS / cutoff);
  const phases = Array.from({ length: stepDenominator }, (_, phase) =>
    kernel(phase / stepDenominator, halfTaps, cutoff),
  );
  return { stepNumerator: sourceRateHz / divisor, stepDenominator, halfTaps, phases };
}

/** A streaming polyphase resampler with a windowed-sinc low-pass. */
export class Resampler {
  readonly #bank: FilterBank;
  /** Input from `#firstHeld` on that later output still needs. Kept in float64: reading it is then a third faster. */
  #held: Float64Array;
  #firstHeld: number;
  #received = 0;
  #produced = 0;

  /** @param sourceRateHz whole number, 8000 … 48 000. */
  constructor(sourceRateHz: number) {
    this.#bank = filterBankFor(sourceRateHz);
    // As much silence before the sound as the first output needs.
    const { halfTaps } = this.#bank;
    this.#held = new Float64Array(halfTaps);
    this.#firstHeld = -halfTaps;
  }

  /** Returns all output that no longer depends on later input. */
  push(samples: Float32Array): Float32Array {
    this.#append(samples);
    this.#received += samples.length;
    const lastCentre = this.#received - this.#bank.halfTaps - 1;
    return this.#produce(Math.floor((lastCentre * this.#bank.stepDenominator) / this.#bank.stepNumerator) + 1);
  }

  /** The rest, after the last push: ⌈received × 16 000 / rate⌉ samples in all. */
  end(): Float32Array {
    this.#append(new Float32Array(this.#bank.halfTaps));
    return this.#produce(Math.ceil((this.#received * this.#bank.stepDenominator) / this.#bank.stepNumerator));
  }

  #append(samples: Float32Array): void {
    const held = new Float64Array(this.#held.length + samples.length);
    held.set(this.#held);
    held.set(samples, this.#held.length);
    this.#held = held;
  }

  #produce(until: number): Float32Array {
    const { stepNumerator, stepDenominator, halfTaps, phases } = this.#bank;
    const output = new Float32Array(Math.max(0, until - this.#produced));
    const before = halfTaps - 1 + this.#firstHeld;
    const round = FILTERED_TOGETHER * stepDenominator;
    for (let index = 0; index < output.length; ) {
      const position = (this.#produced + index) * stepNumerator;
      const taps = phases[position % stepDenominator] as Float64Array;
      const first = Math.floor(position / stepDenominator) - before;
      const placeInRound = index % round;
      // Outputs that are stepDenominator apart have the same taps, and their inputs lie stepNumerator apart.
      if (index - placeInRound + round <= output.length) {
        filterFour(taps, this.#held, first, stepNumerator, output, index, stepDenominator);
        index += placeInRound === stepDenominator - 1 ? round - placeInRound : 1;
      } else {
        output[index] = weightedSum(taps, this.#held, first);
        index++;
      }
    }
    this.#produced += output.length;
    this.#forget(Math.floor((this.#produced * stepNumerator) / stepDenominator) - halfTaps);
    return output;
  }

  #forget(before: number): void {
    const count = Math.min(this.#held.length, Math.max(0, before - this.#firstHeld));
    this.#held = this.#held.slice(count);
    this.#firstHeld += count;
  }
}

/**
 * Sums an even number of taps over the input from `first` on. Two sums run in parallel in the CPU; one would be serial.
 */
function weightedSum(taps: Float64Array, input: Float64Array, first: number): number {
  let even = 0;
  let odd = 0;
  for (let tap = 0; tap < taps.length; tap += 2) {
    even += (taps[tap] as number) * (input[first + tap] as number);
    odd += (taps[tap + 1] as number) * (input[first + tap + 1] as number);
  }
  return even + odd;
}

/**
 * Four outputs with the same taps, each exactly as `weightedSum` makes it: reading every tap once for all of them takes
 * half the time. Their inputs begin `inputStep` apart, and they lie `outputStep` apart.
 */
function filterFour(
  taps: Float64Array,
  input: Float64Array,
  first: number,
  inputStep: number,
  output: Float32Array,
  at: number,
  outputStep: number,
): void {
  const [second, third, fourth] = [first + inputStep, first + 2 * inputStep, first + 3 * inputStep];
  let [even1, odd1, even2, odd2, even3, odd3, even4, odd4] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let tap = 0; tap < taps.length; tap += 2) {
    const even = taps[tap] as number;
    const odd = taps[tap + 1] as number;
    even1 += even * (input[first + tap] as number);
    odd1 += odd * (input[first + tap + 1] as number);
    even2 += even * (input[second + tap] as number);
    odd2 += odd * (input[second + tap + 1] as number);
    even3 += even * (input[third + tap] as number);
    odd3 += odd * (input[third + tap + 1] as number);
    even4 += even * (input[fourth + tap] as number);
    odd4 += odd * (input[fourth + tap + 1] as number);
  }
  output[at] = even1 + odd1;
  output[at + outputStep] = even2 + odd2;
  output[at + 2 * outputStep] = even3 + odd3;
  output[at + 3 * outputStep] = even4 + odd4;
}

/** Taps for an output that lies `fraction` of an input sample after the centre; their sum is 1. */
function kernel(fraction: number, halfTaps: number, cutoff: number): Float64Array {
  const taps = Float64Array.from({ length: 2 * halfTaps }, (_, tap) => {
    const distance = tap - halfTaps + 1 - fraction;
    return sinc(distance * cutoff) * blackman(distance / halfTaps);
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** x from −1 to 1. */
function blackman(x: number): number {
  return Math.abs(x) >= 1 ? 0 : 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
