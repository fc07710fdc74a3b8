/**
 * How much sound frames depend on. The front end cuts live sound by it; the pipeline's own stages define it, and a test
 * compares the two. Samples at 16 kHz, frames at 25/s.
 */
import {
  FEATURE_ROWS_BEFORE,
  FFT_SIZE,
  FRAMES_PER_SECOND,
  HOP_SAMPLES,
  MEL_FRAMES_PER_SECOND,
  SAMPLE_RATE_HZ,
  SAMPLES_PER_FRAME,
  WINDOW_MEL_FRAMES,
} from '../../shared/sound/rates.ts';

const HALF_FFT_SAMPLES = FFT_SIZE / 2;
/** Pre-emphasis looks at the sample before. */
const PRE_EMPHASIS_SAMPLES = 1;
/** Feature row r shows window r − 1: the first row is there twice. */
const ROW_LEAD = 1;

/** First mel frame of encoder window `index`, if the sound is long enough. */
function windowStart(index: number): number {
  return Math.floor((MEL_FRAMES_PER_SECOND * Math.max(0, index)) / FRAMES_PER_SECOND);
}

/** Number of samples after which frame `frameIndex` depends on no later ones. */
export function samplesUntilReady(frameIndex: number, rowsAhead: number): number {
  const lastMelFrame = windowStart(frameIndex + rowsAhead - ROW_LEAD) + WINDOW_MEL_FRAMES - 1;
  return lastMelFrame * HOP_SAMPLES + HALF_FFT_SAMPLES;
}

/** Number of frames, from 0, that do not depend on what comes after the first `sampleCount` samples. */
export function readyFrames(sampleCount: number, rowsAhead: number): number {
  // Each frame needs 640 samples more than the one before it, give or take a hop.
  let frames = Math.max(0, Math.floor((sampleCount - samplesUntilReady(0, rowsAhead)) / SAMPLES_PER_FRAME) - 1);
  while (samplesUntilReady(frames, rowsAhead) <= sampleCount) frames++;
  return frames;
}

/** First sample that frames from `frameIndex` on depend on. */
export function firstSampleNeeded(frameIndex: number): number {
  const firstMelFrame = windowStart(frameIndex - FEATURE_ROWS_BEFORE - ROW_LEAD);
  return Math.max(0, firstMelFrame * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES);
}

/**
 * First sample that frames from `frameIndex` to the end of a finished sound depend on: the last windows of a sound are
 * pulled back to its end.
 */
export function firstSampleNeededToEnd(frameIndex: number, sampleCount: number): number {
  const melFrameTotal = 1 + Math.floor(sampleCount / HOP_SAMPLES);
  const lastWindow = (melFrameTotal - WINDOW_MEL_FRAMES) * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES;
  return Math.max(0, Math.min(firstSampleNeeded(frameIndex), lastWindow));
}

/** Time in ms from the beginning of a frame to the end of the sound that it depends on. */
export function algorithmicLatencyMs(rowsAhead: number): number {
  return (1000 * samplesUntilReady(0, rowsAhead)) / SAMPLE_RATE_HZ;
}
