/**
 * How much sound frames depend on. The front end cuts live sound by it; the pipeline's own stages define it, and a test
 * compares the two. Samples at 16 kHz.
 */
import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { type FrameRate, samplesPerFrame, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import {
  FEATURE_ROWS_BEFORE,
  FFT_SIZE,
  FRAMES_PER_SECOND,
  HOP_SAMPLES,
  MEL_FRAMES_PER_SECOND,
  SAMPLE_RATE_HZ,
  WINDOW_MEL_FRAMES,
} from '../../shared/sound/rates.ts';

const HALF_FFT_SAMPLES = FFT_SIZE / 2;
/** Pre-emphasis looks at the sample before. */
const PRE_EMPHASIS_SAMPLES = 1;
/** Feature row r shows window r − 1: the first row is there twice. */
const ROW_LEAD = 1;

/** What the frames of a stream hear, as far as streams differ in it. */
export interface FrameContext {
  /** Feature rows after a frame's own that it hears, 0 … 7. */
  readonly rowsAhead: number;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
}

/** The feature row that is the frame's own. */
function rowOf(frameIndex: number, frameRate: FrameRate = USUAL_FRAME_RATE): number {
  return rowOfFrame(frameIndex, 'ave', frameRate);
}

/** First mel frame of encoder window `index`, if the sound is long enough. */
function windowStart(index: number): number {
  return Math.floor((MEL_FRAMES_PER_SECOND * Math.max(0, index)) / FRAMES_PER_SECOND);
}

/** Number of samples after which frame `frameIndex` depends on no later ones. */
export function samplesUntilReady(frameIndex: number, { rowsAhead, frameRate }: FrameContext): number {
  const lastMelFrame = windowStart(rowOf(frameIndex, frameRate) + rowsAhead - ROW_LEAD) + WINDOW_MEL_FRAMES - 1;
  return lastMelFrame * HOP_SAMPLES + HALF_FFT_SAMPLES;
}

/** Number of frames, from 0, that do not depend on what comes after the first `sampleCount` samples. */
export function readyFrames(sampleCount: number, context: FrameContext): number {
  // Frame j needs as many samples more than frame 0 as are heard until it begins, and a hop at most beyond these.
  const samples = samplesPerFrame(context.frameRate);
  let frames = Math.max(0, Math.floor((sampleCount - samplesUntilReady(0, context)) / samples) - 1);
  while (samplesUntilReady(frames, context) <= sampleCount) frames++;
  return frames;
}

/** First sample that frames from `frameIndex` on depend on. */
export function firstSampleNeeded(frameIndex: number, { frameRate }: FrameContext): number {
  const firstMelFrame = windowStart(rowOf(frameIndex, frameRate) - FEATURE_ROWS_BEFORE - ROW_LEAD);
  return Math.max(0, firstMelFrame * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES);
}

/**
 * First sample that frames from `frameIndex` to the end of a finished sound depend on: the last windows of a sound are
 * pulled back to its end.
 */
export function firstSampleNeededToEnd(frameIndex: number, sampleCount: number, context: FrameContext): number {
  const melFrameTotal = 1 + Math.floor(sampleCount / HOP_SAMPLES);
  const lastWindow = (melFrameTotal - WINDOW_MEL_FRAMES) * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES;
  return Math.max(0, Math.min(firstSampleNeeded(frameIndex, context), lastWindow));
}

/** Time in ms from the beginning of a frame to the end of the sound that it depends on. */
export function algorithmicLatencyMs(context: FrameContext): number {
  return (1000 * samplesUntilReady(0, context)) / SAMPLE_RATE_HZ;
}
