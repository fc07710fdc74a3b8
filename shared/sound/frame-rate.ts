/**
 * How many frames a second a video has, and how much sound belongs to each. What a model shows at a frame of another
 * rate than its own is in audio-kinds.ts.
 */
import { SAMPLE_RATE_HZ } from './rates.ts';

export const FRAME_RATES = [20, 25] as const;
/** To whoever asked for another one. */
export const FRAME_RATE_WORDS = 'renders have 20 or 25 frames a second';
export type FrameRate = (typeof FRAME_RATES)[number];

/** Of all that do not say otherwise: what is kept or sent says no rate then, as before there were two. */
export const USUAL_FRAME_RATE = 25 satisfies FrameRate;

/** The rate as requests and jobs keep it. @param wanted what a request says itself; @param usual that of its model. */
export function withFrameRate(
  wanted: FrameRate | undefined,
  usual: FrameRate = USUAL_FRAME_RATE,
): { readonly frameRate?: FrameRate } {
  const frameRate = wanted ?? usual;
  return frameRate === USUAL_FRAME_RATE ? {} : { frameRate };
}

/** Samples at 16 kHz during a frame: 640 or 800. */
export function samplesPerFrame(rate: FrameRate = USUAL_FRAME_RATE): number {
  return SAMPLE_RATE_HZ / rate;
}

/** Samples [start, end) at 16 kHz during frames [start, end). */
export function samplesOf(
  { start, end }: { readonly start: number; readonly end: number },
  rate?: FrameRate,
): { start: number; end: number } {
  const samples = samplesPerFrame(rate);
  return { start: start * samples, end: end * samples };
}

/** How long a frame is shown: 40 or 50 ms. */
export function frameMs(rate: FrameRate = USUAL_FRAME_RATE): number {
  return 1000 / rate;
}

/**
 * ⌊N / samples a frame + ½⌋ frames for N samples at 16 kHz, at least 1: picture and sound end within half a frame of
 * each other.
 */
export function frameCount(sampleCount: number, rate: FrameRate = USUAL_FRAME_RATE): number {
  const samples = samplesPerFrame(rate);
  return Math.max(1, Math.floor((sampleCount + samples / 2) / samples));
}
