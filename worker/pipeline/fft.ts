/**
 * The spectrum of one mel frame: a real FFT of 800 points, done as a complex FFT of 400 (Stockham, 4·4·5·5) whose
 * input is the even samples as real and the odd ones as imaginary part. Tables are made once; a call allocates nothing.
 */
import { FFT_SIZE } from '../../shared/sound/rates.ts';

const HALF_SIZE = FFT_SIZE / 2;
/** Bins 0 … 400 of a real signal's spectrum. */
export const SPECTRUM_BINS = HALF_SIZE + 1;

/** One pass of the Stockham FFT: `blocks` butterflies of `radix` legs on `stride` interleaved signals. */
interface Pass {
  readonly radix: 4 | 5;
  readonly blocks: number;
  readonly stride: number;
  /** cos and sin of −2π·block·leg/(blocks·radix), legs 1 … radix−1, block after block. */
  readonly twiddleRe: Float64Array;
  readonly twiddleIm: Float64Array;
}

const PASSES: readonly Pass[] = makePasses([4, 4, 5, 5]);
const UNPACK_RE = Float64Array.from({ length: SPECTRUM_BINS }, (_, bin) => Math.cos((-2 * Math.PI * bin) / FFT_SIZE));
const UNPACK_IM = Float64Array.from({ length: SPECTRUM_BINS }, (_, bin) => Math.sin((-2 * Math.PI * bin) / FFT_SIZE));

const COS_72 = Math.cos((2 * Math.PI) / 5);
const SIN_72 = Math.sin((2 * Math.PI) / 5);
const COS_144 = Math.cos((4 * Math.PI) / 5);
const SIN_144 = Math.sin((4 * Math.PI) / 5);

// Safe to share: a transform runs to its end before anything else can.
const re = new Float64Array(HALF_SIZE);
const im = new Float64Array(HALF_SIZE);
const scratchRe = new Float64Array(HALF_SIZE);
const scratchIm = new Float64Array(HALF_SIZE);

/**
 * Magnitudes |X[k]| of the unnormalised DFT of a real signal.
 * @param signal 800 samples, already windowed; not changed.
 * @param magnitudes receives bins `firstBin` … `lastBin` at their own index; at least `lastBin + 1` long.
 * @param firstBin 0 or more.
 * @param lastBin inclusive, 400 at most.
 */
export function realFftMagnitudes(
  signal: Float64Array,
  magnitudes: Float64Array,
  firstBin = 0,
  lastBin = HALF_SIZE,
): void {
  for (let i = 0; i < HALF_SIZE; i++) {
    re[i] = signal[2 * i] as number;
    im[i] = signal[2 * i + 1] as number;
  }
  transformPacked();
  for (let bin = firstBin; bin <= lastBin; bin++) {
    const low = bin === HALF_SIZE ? 0 : bin;
    const high = bin === 0 ? 0 : HALF_SIZE - bin;
    const evenRe = ((re[low] as number) + (re[high] as number)) / 2;
    const evenIm = ((im[low] as number) - (im[high] as number)) / 2;
    const oddRe = ((im[low] as number) + (im[high] as number)) / 2;
    const oddIm = ((re[high] as number) - (re[low] as number)) / 2;
    const turnRe = UNPACK_RE[bin] as number;
    const turnIm = UNPACK_IM[bin] as number;
    const realPart = evenRe + turnRe * oddRe - turnIm * oddIm;
    const imaginaryPart = evenIm + turnRe * oddIm + turnIm * oddRe;
    magnitudes[bin] = Math.sqrt(realPart * realPart + imaginaryPart * imaginaryPart);
  }
}

/** Complex FFT of `re`, `im` in place: four passes, so the result ends where it began. */
function transformPacked(): void {
  for (let index = 0; index < PASSES.length; index++) {
    const pass = PASSES[index] as Pass;
    const run = pass.radix === 4 ? runRadix4 : runRadix5;
    if (index % 2 === 0) run(pass, re, im, scratchRe, scratchIm);
    else run(pass, scratchRe, scratchIm, re, im);
  }
}

function makePasses(radices: readonly (4 | 5)[]): Pass[] {
  let length = HALF_SIZE;
  let stride = 1;
  return radices.map((radix) => {
    const blocks = length / radix;
    const twiddleRe = new Float64Array(blocks * (radix - 1));
    const twiddleIm = new Float64Array(blocks * (radix - 1));
    for (let block = 0; block < blocks; block++) {
      for (let leg = 1; leg < radix; leg++) {
        const angle = (-2 * Math.PI * block * leg) / length;
        twiddleRe[block * (radix - 1) + leg - 1] = Math.cos(angle);
        twiddleIm[block * (radix - 1) + leg - 1] = Math.sin(angle);
      }
    }
    const pass = { radix, blocks, stride, twiddleRe, twiddleIm };
    length = blocks;
    stride *= radix;
    return pass;
  });
}

function runRadix4(pass: Pass, xr: Float64Array, xi: Float64Array, yr: Float64Array, yi: Float64Array): void {
  const { blocks, stride, twiddleRe: wr, twiddleIm: wi } = pass;
  const leap = stride * blocks;
  for (let block = 0; block < blocks; block++) {
    const w = block * 3;
    for (let lane = 0; lane < stride; lane++) {
      const from = lane + stride * block;
      const to = lane + stride * 4 * block;
      const sumRe = (xr[from] as number) + (xr[from + 2 * leap] as number);
      const sumIm = (xi[from] as number) + (xi[from + 2 * leap] as number);
      const diffRe = (xr[from] as number) - (xr[from + 2 * leap] as number);
      const diffIm = (xi[from] as number) - (xi[from + 2 * leap] as number);
      const oddSumRe = (xr[from + leap] as number) + (xr[from + 3 * leap] as number);
      const oddSumIm = (xi[from + leap] as number) + (xi[from + 3 * leap] as number);
      const oddDiffRe = (xr[from + leap] as number) - (xr[from + 3 * leap] as number);
      const oddDiffIm = (xi[from + leap] as number) - (xi[from + 3 * leap] as number);
      yr[to] = sumRe + oddSumRe;
      yi[to] = sumIm + oddSumIm;
      turnInto(yr, yi, to + stride, diffRe + oddDiffIm, diffIm - oddDiffRe, wr[w] as number, wi[w] as number);
      turnInto(yr, yi, to + 2 * stride, sumRe - oddSumRe, sumIm - oddSumIm, wr[w + 1] as number, wi[w + 1] as number);
      turnInto(
        yr,
        yi,
        to + 3 * stride,
        diffRe - oddDiffIm,
        diffIm + oddDiffRe,
        wr[w + 2] as number,
        wi[w + 2] as number,
      );
    }
  }
}

function runRadix5(pass: Pass, xr: Float64Array, xi: Float64Array, yr: Float64Array, yi: Float64Array): void {
  const { blocks, stride, twiddleRe: wr, twiddleIm: wi } = pass;
  const leap = stride * blocks;
  for (let block = 0; block < blocks; block++) {
    const w = block * 4;
    for (let lane = 0; lane < stride; lane++) {
      const from = lane + stride * block;
      const to = lane + stride * 5 * block;
      const zeroRe = xr[from] as number;
      const zeroIm = xi[from] as number;
      const outerSumRe = (xr[from + leap] as number) + (xr[from + 4 * leap] as number);
      const outerSumIm = (xi[from + leap] as number) + (xi[from + 4 * leap] as number);
      const outerDiffRe = (xr[from + leap] as number) - (xr[from + 4 * leap] as number);
      const outerDiffIm = (xi[from + leap] as number) - (xi[from + 4 * leap] as number);
      const innerSumRe = (xr[from + 2 * leap] as number) + (xr[from + 3 * leap] as number);
      const innerSumIm = (xi[from + 2 * leap] as number) + (xi[from + 3 * leap] as number);
      const innerDiffRe = (xr[from + 2 * leap] as number) - (xr[from + 3 * leap] as number);
      const innerDiffIm = (xi[from + 2 * leap] as number) - (xi[from + 3 * leap] as number);
      const nearRe = zeroRe + COS_72 * outerSumRe + COS_144 * innerSumRe;
      const nearIm = zeroIm + COS_72 * outerSumIm + COS_144 * innerSumIm;
      const farRe = zeroRe + COS_144 * outerSumRe + COS_72 * innerSumRe;
      const farIm = zeroIm + COS_144 * outerSumIm + COS_72 * innerSumIm;
      const nearTurnRe = SIN_72 * outerDiffIm + SIN_144 * innerDiffIm;
      const nearTurnIm = -SIN_72 * outerDiffRe - SIN_144 * innerDiffRe;
      const farTurnRe = SIN_144 * outerDiffIm - SIN_72 * innerDiffIm;
      const farTurnIm = SIN_72 * innerDiffRe - SIN_144 * outerDiffRe;
      yr[to] = zeroRe + outerSumRe + innerSumRe;
      yi[to] = zeroIm + outerSumIm + innerSumIm;
      turnInto(yr, yi, to + stride, nearRe + nearTurnRe, nearIm + nearTurnIm, wr[w] as number, wi[w] as number);
      turnInto(yr, yi, to + 2 * stride, farRe + farTurnRe, farIm + farTurnIm, wr[w + 1] as number, wi[w + 1] as number);
      turnInto(yr, yi, to + 3 * stride, farRe - farTurnRe, farIm - farTurnIm, wr[w + 2] as number, wi[w + 2] as number);
      turnInto(
        yr,
        yi,
        to + 4 * stride,
        nearRe - nearTurnRe,
        nearIm - nearTurnIm,
        wr[w + 3] as number,
        wi[w + 3] as number,
      );
    }
  }
}

/** y[at] = (aRe + i·aIm) · (wRe + i·wIm) */
function turnInto(
  yr: Float64Array,
  yi: Float64Array,
  at: number,
  aRe: number,
  aIm: number,
  wRe: number,
  wIm: number,
): void {
  yr[at] = aRe * wRe - aIm * wIm;
  yi[at] = aRe * wIm + aIm * wRe;
}
