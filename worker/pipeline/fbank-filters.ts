/** Kaldi's 80 triangular filters for a power spectrum of 512 points at 16 kHz: triangles in mel, of height 1. */
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { FBANK_BANDS } from '../../shared/sound/wenet-rows.ts';
import type { BandFilters } from './mel-filters.ts';

export const FBANK_FFT_SIZE = 512;
const LOWEST_HZ = 20;
const HIGHEST_HZ = SAMPLE_RATE_HZ / 2;

/** Bins 0 … 255; that of 8 kHz has no weight. */
export function makeFbankFilters(): BandFilters {
  const lowest = hzToMel(LOWEST_HZ);
  const step = (hzToMel(HIGHEST_HZ) - lowest) / (FBANK_BANDS + 1);
  const firstBin = new Int32Array(FBANK_BANDS);
  const offset = new Int32Array(FBANK_BANDS + 1);
  const weights: number[] = [];
  for (let band = 0; band < FBANK_BANDS; band++) {
    const peak = lowest + (band + 1) * step;
    let first: number | undefined;
    for (let bin = 0; bin < FBANK_FFT_SIZE / 2; bin++) {
      const height = 1 - Math.abs(hzToMel((bin * SAMPLE_RATE_HZ) / FBANK_FFT_SIZE) - peak) / step;
      if (height <= 0) continue;
      first ??= bin;
      weights.push(height);
    }
    firstBin[band] = first ?? 0;
    offset[band + 1] = weights.length;
  }
  return { firstBin, offset, weights: Float64Array.from(weights) };
}

function hzToMel(hz: number): number {
  return 1127 * Math.log(1 + hz / 700);
}
