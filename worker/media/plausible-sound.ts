import { FarmError } from '../../shared/errors/farm-error.ts';
import { MINUTE_MS } from '../../shared/units.ts';

/**
 * What a sound can be. Sound at 1 Hz would be drawn out to thousands of times its length, and what a file says of
 * itself costs its sender nothing: so the claims are checked before work follows from them (docs/decisions/0053).
 */

/** From the narrowest telephone codecs to the highest rate that studios record at. */
const RATE_HZ = { min: 4000, max: 384_000 } as const;
/** Sound of 7th order ambisonics has 64; more is no recording of a voice. */
const MOST_CHANNELS = 64;
/**
 * The densest sound that common encoders write is silence in WavPack at 8 kHz, 8.5 bytes a second. A minute more is
 * allowed to every file, so that a short one is never at the edge.
 */
const LEAST_BYTES_A_SECOND = 8;
const FREE_SECONDS = MINUTE_MS / 1000;

/** FarmError('audio_implausible') for a sample rate or a number of channels that no recording has. */
export function refuseImplausibleForm({ sampleRateHz, channels }: { sampleRateHz: number; channels: number }): void {
  if (sampleRateHz < RATE_HZ.min || sampleRateHz > RATE_HZ.max) {
    throw implausible(`a sample rate of ${sampleRateHz} Hz; expected ${RATE_HZ.min} to ${RATE_HZ.max} Hz`);
  }
  if (channels > MOST_CHANNELS) throw implausible(`${channels} channels; expected ${MOST_CHANNELS} at most`);
}

/** The longest sound, in seconds, that a file of this size can hold. */
export function longestPlausibleSeconds(fileBytes: number): number {
  return FREE_SECONDS + fileBytes / LEAST_BYTES_A_SECOND;
}

/** The refusal of a file that lasts longer than a file of its size can. */
export function tooDense(fileBytes: number): FarmError {
  const most = Math.floor(longestPlausibleSeconds(fileBytes));
  return implausible(`more than ${most} s of sound in ${fileBytes} bytes, which no encoder writes`);
}

/** @param claim what the file says of itself, and what was expected. */
export function implausible(claim: string): FarmError {
  return new FarmError('audio_implausible', `The file claims ${claim}`);
}
