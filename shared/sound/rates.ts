/**
 * The rates and sizes of the sound, from samples to feature rows. The pipeline's stages are made of them, and the front
 * end cuts live sound by them.
 */

export const SAMPLE_RATE_HZ = 16_000;
/** Windows, and frames that are made of them, a second of sound; a video may show other frames: frame-rate.ts. */
export const FRAMES_PER_SECOND = 25;

export const FFT_SIZE = 800;
/** Samples from one mel frame to the next. */
export const HOP_SAMPLES = 200;
export const MEL_FRAMES_PER_SECOND = 80;
export const MEL_BANDS = 80;
/** Length of one encoder window in mel frames. */
export const WINDOW_MEL_FRAMES = 16;

/** Values that the encoder makes of a window. */
export const FEATURE_SIZE = 512;
/** The network sees feature rows i−8 … i+7 for frame i. */
export const FEATURE_ROWS_BEFORE = 8;
export const FEATURE_ROWS_AFTER = 7;
