/**
 * Full scale is ±1. Files and clients pass it by a little (loud masters, exports in float), so up to 16, 24 dB more,
 * counts as sound. Beyond that, or not a number at all, a sample is damage: one is enough to blacken a mouth.
 */
export const LOUDEST_SAMPLE = 16;

/** False for NaN, the infinities and what is absurdly loud. */
export function isSound(sample: number): boolean {
  return Math.abs(sample) <= LOUDEST_SAMPLE;
}
