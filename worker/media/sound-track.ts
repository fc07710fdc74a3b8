import { FarmError } from '../../shared/errors/farm-error.ts';
import { type ProbedStream, probe } from '../tools/ffmpeg.ts';
import { refuseImplausibleForm } from './plausible-sound.ts';
import { UPLOAD_GUARDS } from './upload-input.ts';

/** Chooses the sound track of an upload, and the form in which ffmpeg decodes it. */

export interface SoundTrack {
  /** Number of the stream in the file. */
  readonly streamIndex: number;
  readonly codec: string;
  /** As stated at the beginning of the file; lossy sound may change it later. */
  readonly channels: number;
  readonly form: SoundForm;
}

/** The form is the same from the first sample to the last, whatever changes in the file. */
export interface SoundForm {
  readonly sampleRateHz: number;
  /** What each channel of the form gives to the left and to the right ear; mono sound has one list of one channel. */
  readonly gains: readonly (readonly [left: number, right: number])[];
  readonly channels: 'mono' | 'stereo' | '3.0' | 'unknown';
}

const LOWEST_RATE_HZ = 8000;
const HIGHEST_RATE_HZ = 48_000;
/** Lossless sound is decoded at its own rate if that is one of these. */
export const RATES_TAKEN_AS_THEY_ARE = { min: LOWEST_RATE_HZ, max: HIGHEST_RATE_HZ } as const;
/**
 * Lossy sound is decoded at this rate at least, since a later part of the file may have a higher rate than its
 * beginning.
 */
const LOWEST_LOSSY_RATE_HZ = 44_100;
/** Lossless formats, whose rate and number of channels cannot change within a file. */
const LOSSLESS = /^(pcm_.*|flac|alac|wavpack|tta|ape)$/;
/** With more channels there is no common layout. */
const MOST_PLACED_CHANNELS = 8;

type Gains = SoundForm['gains'][number];
const LEFT: Gains = [1, 0];
const RIGHT: Gains = [0, 1];
/**
 * ffmpeg mixes the surround channels into left and right; the centre, with the voice, stays apart and keeps its level.
 */
const CENTRE: Gains = [1, 1];
const SOMEWHERE: Gains = [Math.SQRT1_2, Math.SQRT1_2];

/** FarmError: audio_unreadable, audio_no_stream, audio_implausible. */
export async function findSoundTrack(inputPath: string, signal: AbortSignal): Promise<SoundTrack> {
  const streams = await probe(inputPath, UPLOAD_GUARDS, signal);
  const sounds = streams.filter(({ codecType }) => codecType === 'audio');
  const sound = sounds.find(({ isDefault }) => isDefault) ?? sounds[0];
  if (!sound) {
    const kinds = [...new Set(streams.map(({ codecType }) => codecType))].join(', ') || 'nothing';
    throw new FarmError('audio_no_stream', `The file has no sound track; it holds: ${kinds}`);
  }
  const { index, codec, channels } = sound;
  if (channels === 0 || sound.sampleRateHz === 0) {
    throw new FarmError('audio_unreadable', `The sound track (${codec}) does not say its sample rate and channels`);
  }
  refuseImplausibleForm(sound);
  return { streamIndex: index, codec, channels, form: formOf(sound) };
}

/** The form for a track. It must also suit later parts of the track, where rate and channels may differ. */
export function formOf({
  codec,
  channels,
  layout,
  sampleRateHz,
}: Pick<ProbedStream, 'codec' | 'channels' | 'layout' | 'sampleRateHz'>): SoundForm {
  const lossless = LOSSLESS.test(codec);
  const rate = { sampleRateHz: lossless ? clamp(sampleRateHz, LOWEST_RATE_HZ) : lossyRate(sampleRateHz) };
  if (lossless && channels === 1) return { ...rate, channels: 'mono', gains: [[1, 1]] };
  if (lossless && channels === 2) return { ...rate, channels: 'stereo', gains: [LEFT, RIGHT] };
  if (channels <= 2 || (layout !== undefined && channels <= MOST_PLACED_CHANNELS)) {
    return { ...rate, channels: '3.0', gains: [LEFT, RIGHT, CENTRE] };
  }
  // The first two are left and right in every common order.
  return { ...rate, channels: 'unknown', gains: [LEFT, RIGHT, ...Array<Gains>(channels - 2).fill(SOMEWHERE)] };
}

function lossyRate(rateHz: number): number {
  return rateHz < LOWEST_LOSSY_RATE_HZ ? HIGHEST_RATE_HZ : clamp(rateHz, LOWEST_LOSSY_RATE_HZ);
}

function clamp(rateHz: number, lowestHz: number): number {
  return Math.min(HIGHEST_RATE_HZ, Math.max(lowestHz, rateHz));
}
