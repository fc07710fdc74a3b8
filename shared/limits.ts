/** Ranges and formats that HTTP, gRPC, the configuration and the jobs share. */

/** Of a JPEG. */
export const JPEG_QUALITY = { min: 1, max: 100 } as const;

/** Frames of a unary request, and so in one run of the lip-sync network. */
export const BATCH_FRAMES = { min: 1, max: 32 } as const;

/** Mouths of one request for them, as the inference server of the separated pair allowed. */
export const MOUTH_FRAMES = { min: 1, max: 50 } as const;

/** Windows in one run of the audio encoder: batches save a quarter of the time, and a limit bounds the memory. */
export const ENCODER_WINDOWS = { min: 1, max: 32 } as const;

/** Samples a second of live sound. */
export const SAMPLE_RATE_HZ_RANGE = { min: 8000, max: 48_000 } as const;

/** Position in an avatar's pictures at which a render may begin; positions further on are the same pictures again. */
export const LAST_START_FRAME = 1_000_000_000;

/** Number of a GPU that a path may name. */
export const LAST_GPU = 99_999;

/** Frame of a render that a path may name. */
export const LAST_FRAME = 999_999_999;

/** Characters of a file's name and of an idempotency key. */
export const NAME_MAX = 255;

/** Labels of a render: how many, and what their keys and values may be. */
export const MOST_LABELS = 16;
export const LABEL_KEY = /^[\w./-]{1,64}$/;
export const LABEL_VALUE = /^\P{Cc}{1,255}$/u;

/** A key of `models:`. */
export const MODEL_ID = /^[\w.-]{1,64}$/;

/** Renders on one page of the list. */
export const PAGE = { min: 1, max: 100, default: 20 } as const;

/** Longest silence that a render may have put before or after its sound, in ms. */
export const LONGEST_SILENCE_MS = 60_000;
