/**
 * The 80 triangular filters that turn a magnitude spectrum into mel bands: Slaney's mel scale (linear below 1 kHz,
 * logarithmic above) and Slaney's normalisation (every triangle has area 1 in Hz), as `librosa.filters.mel` makes them.
 */
import { FFT_SIZE, MEL_BANDS, SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';

const LOWEST_HZ = 55;
const HIGHEST_HZ = 7600;

const LINEAR_HZ_PER_MEL = 200 / 3;
const LOG_START_HZ = 1000;
const LOG_START_MEL = LOG_START_HZ / LINEAR_HZ_PER_MEL;
const LOG_STEP = Math.log(6.4) / 27;

/**
 * Filters without their zeros: band b weighs bins `firstBin[b]` … with `weights[offset[b]]` … `weights[offset[b+1]-1]`.
 */
export interface BandFilters {
  readonly firstBin: Int32Array;
  /** One longer than there are bands. */
  readonly offset: Int32Array;
  readonly weights: Float64Array;
}

export interface MelFilters extends BandFilters {
  /** Lowest and highest spectrum bin that any band weighs. */
  readonly lowestBin: number;
  readonly highestBin: number;
}

/** The pipeline's filters: 80 bands, 55–7600 Hz, for bins of 20 Hz (800 points at 16 kHz). */
export function makeMelFilters(): MelFilters {
  const cornersHz = bandCornersHz();
  const firstBin = new Int32Array(MEL_BANDS);
  const offset = new Int32Array(MEL_BANDS + 1);
  const weights: number[] = [];
  let lowestBin = FFT_SIZE / 2;
  let highestBin = 0;
  for (let band = 0; band < MEL_BANDS; band++) {
    const triangle = bandWeights(
      cornersHz[band] as number,
      cornersHz[band + 1] as number,
      cornersHz[band + 2] as number,
    );
    firstBin[band] = triangle.firstBin;
    weights.push(...triangle.weights);
    offset[band + 1] = weights.length;
    lowestBin = Math.min(lowestBin, triangle.firstBin);
    highestBin = Math.max(highestBin, triangle.firstBin + triangle.weights.length - 1);
  }
  return { firstBin, offset, weights: Float64Array.from(weights), lowestBin, highestBin };
}

/** 82 frequencies, evenly spaced in mel: band b rises from corner b to b+1 and falls to b+2. */
function bandCornersHz(): number[] {
  const lowestMel = hzToMel(LOWEST_HZ);
  const stepMel = (hzToMel(HIGHEST_HZ) - lowestMel) / (MEL_BANDS + 1);
  return Array.from({ length: MEL_BANDS + 2 }, (_, corner) => melToHz(lowestMel + corner * stepMel));
}

function bandWeights(lowHz: number, peakHz: number, highHz: number): { firstBin: number; weights: number[] } {
  const binHz = SAMPLE_RATE_HZ / FFT_SIZE;
  const firstBin = Math.floor(lowHz / binHz) + 1;
  const lastBin = Math.ceil(highHz / binHz) - 1;
  const unitAreaHeight = 2 / (highHz - lowHz);
  const weights: number[] = [];
  for (let bin = firstBin; bin <= lastBin; bin++) {
    const rising = (bin * binHz - lowHz) / (peakHz - lowHz);
    const falling = (highHz - bin * binHz) / (highHz - peakHz);
    weights.push(Math.max(0, Math.min(rising, falling)) * unitAreaHeight);
  }
  return { firstBin, weights };
}

function hzToMel(hz: number): number {
  return hz < LOG_START_HZ ? hz / LINEAR_HZ_PER_MEL : LOG_START_MEL + Math.log(hz / LOG_START_HZ) / LOG_STEP;
}

function melToHz(mel: number): number {
  return mel < LOG_START_MEL ? mel * LINEAR_HZ_PER_MEL : LOG_START_HZ * Math.exp(LOG_STEP * (mel - LOG_START_MEL));
}
