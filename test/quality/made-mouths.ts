/**
 * Openings of mouths as trained networks make them, good and bad, for a sound of syllables and pauses: made of numbers, so
 * that hundreds of avatars cost nothing. All of them follow from a seed.
 */
import type { Measures } from '../../worker/quality/segment-notes.ts';

/** A voice, and what was measured of an avatar that speaks it. */
export interface Spoken {
  readonly levels: Float64Array;
  readonly measures: Measures;
}

/** `early` and `late`: by three frames. */
export type Fault = 'none' | 'early' | 'late' | 'restless' | 'deaf' | 'still' | 'seam';

const FRAMES = { least: 200, most: 450 };
/** How much openings vary, in grey levels: with the demo avatar 2.4. */
const SIZE = { least: 1.5, most: 5.5 };
/** Part of its loudest level below which a voice cannot be heard, and frames on each side of it in which mouths move. */
const QUIET = 0.05;
const MARGIN = 5;
/** Grey levels of a mouth that is at rest, as it is measured. */
const AT_REST = 3;
/** Steps at the border of the pictures, squared, and what a cast of 10 levels adds. */
const BORDER = 40_000;
const CAST = 10_000;

export function spoken(seed: number, fault: Fault): Spoken {
  const random = new Numbers(seed);
  const levels = voice(random, FRAMES.least + Math.floor(random.next() * (FRAMES.most - FRAMES.least)));
  const size = SIZE.least + random.next() * (SIZE.most - SIZE.least);
  const opening = faulty(levels, size, random, fault);
  const frames = levels.length;
  const measures = {
    opening: opening.map((value) => Math.round(100 * Math.max(0, value))),
    seam: new Array<number>(frames).fill(BORDER + (fault === 'seam' ? CAST : 0)),
    background: new Array<number>(frames).fill(BORDER),
  };
  return { levels, measures };
}

function faulty(levels: Float64Array, size: number, random: Numbers, fault: Fault): number[] {
  const mouth = mouthOf(levels, size, random);
  const later = (by: number) => mouth.map((_, at) => mouth[Math.min(mouth.length - 1, Math.max(0, at - by))] ?? 0);
  const heard = heardIn(levels);
  switch (fault) {
    case 'late':
      return later(3);
    case 'early':
      return later(-3);
    case 'restless': {
      const babble = mouthOf(syllables(random, new Float64Array(levels.length), 0, levels.length), size, random);
      return mouth.map((value, at) => (heard[at] ? value : (babble[at] as number)));
    }
    case 'deaf': {
      const other = mouthOf(voice(random, levels.length), size, random);
      return other.map((value, at) => (heard[at] ? value : AT_REST));
    }
    case 'still':
      return mouth.map((_, at) => AT_REST + 0.15 * random.normal() + Math.sin(at / 20));
    default:
      return [...mouth];
  }
}

/** Syllables of four to eight frames in phrases of one to three seconds, with pauses and a little noise. */
function voice(random: Numbers, frames: number): Float64Array {
  const levels = new Float64Array(frames);
  for (let at = 10; at < frames; ) {
    const end = Math.min(frames, at + 25 + Math.floor(random.next() * 50));
    syllables(random, levels, at, end);
    at = end + 16 + Math.floor(random.next() * 20);
  }
  return levels.map((level) => level + 0.0006 * random.next());
}

function syllables(random: Numbers, levels: Float64Array, start: number, end: number): Float64Array {
  for (let at = start; at < end; ) {
    const length = Math.min(end - at, 4 + Math.floor(random.next() * 5));
    const loud = 0.03 + 0.17 * random.next();
    for (let frame = 0; frame < length; frame++)
      levels[at + frame] = loud * Math.sin((Math.PI * (frame + 0.5)) / length);
    at += length;
  }
  return levels;
}

/**
 * A mouth that follows a voice as well as trained ones do: not all syllables open it alike, it is smoother than the voice,
 * what is measured has noise, and the head moves.
 * @param size standard deviation of its opening.
 */
function mouthOf(levels: Float64Array, size: number, random: Numbers): number[] {
  const [power, reach] = [0.4 + 0.6 * random.next(), Math.floor(random.next() * 3)];
  const [noise, head] = [0.05 + 0.15 * random.next(), random.next()];
  const uneven = 0.2 + 0.4 * random.next();
  const loudest = Math.max(...levels);
  let [gain, left] = [1, 0];
  const opened = Array.from(levels, (level) => {
    if (left-- <= 0) [gain, left] = [1 + uneven * (2 * random.next() - 1), 4 + Math.floor(random.next() * 5)];
    return gain * (level / loudest) ** power;
  });
  const smooth = opened.map((_, at) => mean(opened.slice(Math.max(0, at - reach), at + reach + 1)));
  const [middle, spread] = [mean(smooth), Math.sqrt(mean(smooth.map((value) => value ** 2)) - mean(smooth) ** 2)];
  const rest = AT_REST + (size * middle) / spread;
  return smooth.map(
    (value, at) => rest + (size * (value - middle)) / spread + noise * random.normal() + head * Math.sin(at / 20),
  );
}

/** Whether there is a voice, or nearly one, in each frame. */
function heardIn(levels: Float64Array): boolean[] {
  const loud = QUIET * (Float64Array.from(levels).sort()[Math.floor(0.95 * levels.length)] as number);
  return Array.from(levels, (_, at) =>
    levels.subarray(Math.max(0, at - MARGIN), at + MARGIN + 1).some((level) => level >= loud),
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The same numbers for the same seed. */
class Numbers {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }

  /** 0 … 1 */
  next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 2 ** 32;
  }

  /** Of mean 0 and deviation 1. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(this.next() + 1e-12)) * Math.cos(2 * Math.PI * this.next());
  }
}
