/**
 * Full scale is ±1. Loud masters and exports in float exceed it a little, so samples up to 16, which is 24 dB more, are
 * accepted. A sample beyond that, or one that is not finite, is damage: a single one can turn a mouth black.
 */
const LOUDEST_SAMPLE = 16;

/** False for NaN, infinities and absurdly loud samples. */
export function isSound(sample: number): boolean {
  return Math.abs(sample) <= LOUDEST_SAMPLE;
}
