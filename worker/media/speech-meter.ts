import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';

/**
 * In which 25ths of a second of a sound somebody speaks. docs/http-api.md defines it for users: a frame, which here is
 * always 40 ms, is voiced when its sound
 * repeats itself 60 to 400 times a second, as vocal cords do, and is not far quieter than the loud frames; voiced frames
 * that are at most 0.32 s apart belong to one utterance, with all that is between them.
 */

const SAMPLES_PER_FRAME = 640;
/** The voice is looked for at 4 kHz. */
const DECIMATION = 4;
const SAMPLES = SAMPLES_PER_FRAME / DECIMATION;
const SHORTEST_LAG = 10;
const LONGEST_LAG = 66;
/** How alike a voiced sound is to itself one period before, of 1. Of noise it is 0.2 or so. */
const VOICED = 0.5;
/** −55 dB of full scale. */
const QUIETEST = 10 ** (-55 / 20);
/** 35 dB below the loud frames: the level that one voiced frame of twenty is above. */
const BELOW_LOUD = 10 ** (-35 / 20);
const LOUD_QUANTILE = 0.95;
const LONGEST_GAP = 8;

/** Takes a sound of 16 kHz in pieces of any length. */
export class SpeechMeter {
  /** Of each frame its root mean square where it is voiced, else 0. */
  readonly #levels: number[] = [];
  readonly #frame = new Float32Array(SAMPLES_PER_FRAME);
  #filled = 0;
  /** The end of the frame before, and then the frame, at 4 kHz. */
  readonly #line = new Float64Array(LONGEST_LAG + 1 + SAMPLES);

  push(samples: Float32Array): void {
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + SAMPLES_PER_FRAME - this.#filled);
      this.#frame.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === SAMPLES_PER_FRAME) this.#close();
    }
  }

  /** Seconds of speech within samples [start, end). What has not filled a frame does not count. */
  secondsIn({ start, end }: { readonly start: number; readonly end: number }): number {
    const frameAt = (sample: number) => Math.round(sample / SAMPLES_PER_FRAME);
    const frames = this.#speech().slice(frameAt(start), frameAt(end)).filter(Boolean).length;
    return (frames * SAMPLES_PER_FRAME) / SAMPLE_RATE_HZ;
  }

  #speech(): boolean[] {
    const voiced = this.#levels.filter((level) => level > 0).sort((a, b) => a - b);
    const loud = voiced[Math.floor(LOUD_QUANTILE * (voiced.length - 1))] ?? 0;
    const least = Math.max(QUIETEST, loud * BELOW_LOUD);
    const speech = this.#levels.map((level) => level >= least);
    let last = Number.NEGATIVE_INFINITY;
    speech.forEach((speaks, frame) => {
      if (!speaks) return;
      if (frame - last - 1 <= LONGEST_GAP) speech.fill(true, last, frame);
      last = frame;
    });
    return speech;
  }

  #close(): void {
    this.#filled = 0;
    this.#line.copyWithin(0, SAMPLES);
    let power = 0;
    for (let at = 0; at < SAMPLES; at++) {
      let sum = 0;
      for (let part = 0; part < DECIMATION; part++) {
        const sample = this.#frame[at * DECIMATION + part] as number;
        sum += sample;
        power += sample * sample;
      }
      this.#line[LONGEST_LAG + 1 + at] = sum / DECIMATION;
    }
    const level = Math.sqrt(power / SAMPLES_PER_FRAME);
    this.#levels.push(level >= QUIETEST && isVoiced(this.#line) ? level : 0);
  }
}

/** Whether the frame at the end of `line` is most alike to itself some period before: more than at the lags around that. */
function isVoiced(line: Float64Array): boolean {
  let before = Number.POSITIVE_INFINITY;
  let last = Number.POSITIVE_INFINITY;
  for (let lag = SHORTEST_LAG; lag <= LONGEST_LAG + 1; lag++) {
    const now = likeness(line, lag);
    if (last >= VOICED && last > before && last >= now) return true;
    before = last;
    last = now;
  }
  return false;
}

/** Normalised correlation with what came `lag` samples before, −1 … 1. */
function likeness(line: Float64Array, lag: number): number {
  // Pairs of numbers would be arrays, a hundred megabytes of them in a minute of sound.
  let product = 0;
  let own = 0;
  let other = 0;
  for (let at = LONGEST_LAG + 1; at < line.length; at++) {
    const a = line[at] as number;
    const b = line[at - lag] as number;
    product += a * b;
    own += a * a;
    other += b * b;
  }
  return own * other > 0 ? product / Math.sqrt(own * other) : 0;
}
