/**
 * Which rows, windows, mel frames and samples depend on which: the index arithmetic between the stages of the sound.
 * N samples give T mel frames, T mel frames give W windows, W windows give W + 2 feature rows.
 */
import {
  FEATURE_ROWS_AFTER,
  FEATURE_ROWS_BEFORE,
  FFT_SIZE,
  FRAMES_PER_SECOND,
  HOP_SAMPLES,
  MEL_FRAMES_PER_SECOND,
  WINDOW_MEL_FRAMES,
} from '../../shared/sound/rates.ts';
import type { IndexRange } from './contract.ts';

/** 1 + ⌊3000 / 200⌋ = 16 mel frames: the shortest sound that fills a window. */
const SHORTEST_SOUND_SAMPLES = (WINDOW_MEL_FRAMES - 1) * HOP_SAMPLES;

/** Length in samples that a sound is taken to have: a shorter one continues in zeros up to 16 mel frames. */
export function paddedSampleCount(sampleCount: number): number {
  return Math.max(sampleCount, SHORTEST_SOUND_SAMPLES);
}

/** T, the number of mel frames of a sound: 1 + ⌊samples / 200⌋. */
export function melFrameCount(sampleCount: number): number {
  return 1 + Math.floor(sampleCount / HOP_SAMPLES);
}

/**
 * The samples [start, end) that these mel frames are computed from, within [0, totalSamples]: half an FFT on either
 * side of each frame's centre, and one sample more in front for the pre-emphasis.
 */
export function samplesOfMelFrames(melFrames: IndexRange, totalSamples: number): IndexRange {
  const first = melFrames.start * HOP_SAMPLES - FFT_SIZE / 2 - 1;
  const last = (melFrames.end - 1) * HOP_SAMPLES + FFT_SIZE / 2;
  const end = Math.min(Math.max(last, 0), totalSamples);
  return { start: Math.min(Math.max(first, 0), end), end };
}

/**
 * W, the number of windows of a sound of `melFrameTotal` (16 or more) mel frames.
 * Divides first, in floating point, as the trained avatars' pipeline did: exact arithmetic would count one window more
 * now and then (T = 384: 368 / 80 · 25 comes to 114.99…, not 115).
 */
export function windowCount(melFrameTotal: number): number {
  return Math.trunc(((melFrameTotal - WINDOW_MEL_FRAMES) / MEL_FRAMES_PER_SECOND) * FRAMES_PER_SECOND) + 2;
}

/** First mel frame of window `index`: int(80·index/25), pulled back so that the window ends with the sound. */
export function windowStart(index: number, melFrameTotal: number): number {
  const start = Math.trunc((MEL_FRAMES_PER_SECOND * index) / FRAMES_PER_SECOND);
  return Math.min(start, melFrameTotal - WINDOW_MEL_FRAMES);
}

/** The mel frames [start, end) that a non-empty range of windows covers. */
export function melFramesOfWindows(windows: IndexRange, melFrameTotal: number): IndexRange {
  return {
    start: windowStart(windows.start, melFrameTotal),
    end: windowStart(windows.end - 1, melFrameTotal) + WINDOW_MEL_FRAMES,
  };
}

/** Number of feature rows for W windows: W + 2. */
export function featureRowCount(windowTotal: number): number {
  return windowTotal + 2;
}

/** The window whose features are row `row`, 0 ≤ row < W + 2. */
export function windowOfRow(row: number, windowTotal: number): number {
  return Math.min(Math.max(row - 1, 0), windowTotal - 1);
}

/**
 * The feature rows, within [0, rowTotal), that the audio inputs of these frames are cut from; empty where all are
 * outside.
 * @param rowsAhead rows after its own that a frame hears.
 */
export function rowsOfFrames(
  frames: IndexRange,
  rowTotal: number,
  rowsAhead: number = FEATURE_ROWS_AFTER,
  rowsBefore: number = FEATURE_ROWS_BEFORE,
): IndexRange {
  const end = Math.min(Math.max(frames.end + rowsAhead, 0), rowTotal);
  return { start: Math.min(Math.max(frames.start - rowsBefore, 0), end), end };
}
