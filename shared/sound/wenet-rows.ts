/** Which samples WeNet's feature rows are made of: each of 67 frames of filter banks, and 5 frames after the last one. */

/** From the first sample of a frame of filter banks to that of the next: 10 ms. */
export const FBANK_STEP_SAMPLES = 160;
/** Samples of such a frame: 25 ms. */
export const FBANK_SAMPLES = 400;
export const FBANK_BANDS = 80;
/** Frames of filter banks that the encoder is given for a row: 0.67 s. */
export const FBANK_FRAMES_PER_ROW = 67;
/** 50 ms, a frame of a video at 20 frames/s. */
export const FBANK_FRAMES_PER_STEP = 5;
export const WENET_ROW_STEP_SAMPLES = FBANK_FRAMES_PER_STEP * FBANK_STEP_SAMPLES;

/** Silence before and after every sound, so that a row hears 0.32 s before it and 0.36 s after it. */
const SILENT_FRAMES_BEFORE = 32;
const SILENT_FRAMES_AFTER = 35;
export const SILENCE_BEFORE_SAMPLES = SILENT_FRAMES_BEFORE * FBANK_STEP_SAMPLES;

/** Number of frames of filter banks of a sound with the silence around it. */
export function fbankFrameCount(sampleCount: number): number {
  const samples = sampleCount + (SILENT_FRAMES_BEFORE + SILENT_FRAMES_AFTER) * FBANK_STEP_SAMPLES;
  return 1 + Math.floor((samples - FBANK_SAMPLES) / FBANK_STEP_SAMPLES);
}

/** Number of rows: the last one is the first that goes to the end of the filter banks, or beyond. */
export function wenetRowCount(sampleCount: number): number {
  const after = fbankFrameCount(sampleCount) - FBANK_FRAMES_PER_ROW;
  return 1 + Math.max(0, Math.ceil(after / FBANK_FRAMES_PER_STEP));
}

/** The samples [start, end) that row `row` is made of, of a sound that goes on; the start may lie before the sound. */
export function samplesOfWenetRow(row: number): { start: number; end: number } {
  const start = row * WENET_ROW_STEP_SAMPLES - SILENCE_BEFORE_SAMPLES;
  return { start, end: start + (FBANK_FRAMES_PER_ROW - 1) * FBANK_STEP_SAMPLES + FBANK_SAMPLES };
}
