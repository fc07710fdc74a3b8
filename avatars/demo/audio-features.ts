/** What the 512 numbers of the demo's audio encoder mean; the encoder writes them, the generator reads them. */
import { FEATURE_SIZE, MEL_BANDS, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';

/** Feature 16·group + time: mean square of the sound (full scale 1) in a group of mel bands at a mel frame of the window. */
export const BAND_GROUPS = FEATURE_SIZE / WINDOW_MEL_FRAMES;

const LOWEST_HZ = 55;
const HIGHEST_HZ = 7600;
const LINEAR_BELOW_HZ = 1000;
const HERTZ_PER_MEL = 200 / 3;
const LOG_STEP = Math.log(6.4) / 27;

/** Middle of each mel band on Slaney's mel scale, in Hz. */
export const BAND_CENTRES_HZ: readonly number[] = Array.from({ length: MEL_BANDS }, (_, band) => {
  const low = hertzToMel(LOWEST_HZ);
  const step = (hertzToMel(HIGHEST_HZ) - low) / (MEL_BANDS + 1);
  return melToHertz(low + step * (band + 1));
});

/** The group a mel band is pooled into: 2 or 3 neighbouring bands each. */
export function groupOfBand(band: number): number {
  return Math.floor((band * BAND_GROUPS) / MEL_BANDS);
}

/** Bands of a group lie in the mean around this frequency. */
export function groupCentreHz(group: number): number {
  const centres = BAND_CENTRES_HZ.filter((_, band) => groupOfBand(band) === group);
  return centres.reduce((sum, hertz) => sum + hertz, 0) / centres.length;
}

function hertzToMel(hertz: number): number {
  if (hertz < LINEAR_BELOW_HZ) return hertz / HERTZ_PER_MEL;
  return LINEAR_BELOW_HZ / HERTZ_PER_MEL + Math.log(hertz / LINEAR_BELOW_HZ) / LOG_STEP;
}

function melToHertz(mel: number): number {
  const linear = LINEAR_BELOW_HZ / HERTZ_PER_MEL;
  if (mel < linear) return mel * HERTZ_PER_MEL;
  return LINEAR_BELOW_HZ * Math.exp((mel - linear) * LOG_STEP);
}
