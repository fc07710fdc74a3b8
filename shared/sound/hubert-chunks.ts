/**
 * How a sound is cut for HuBERT. Its network attends to all that it is given, so a row depends on a whole chunk, and
 * chunks lie on a grid that begins with the sound: then any part of a video, and a stream, sees the same ones.
 */
import { SAMPLE_RATE_HZ } from './rates.ts';

export const HUBERT_CHUNKS = ['long', 'short'] as const;
export type HubertChunks = (typeof HUBERT_CHUNKS)[number];

/** In feature rows of 40 ms, two hidden states each. */
export interface ChunkPlan {
  /** Rows that a chunk gives. */
  readonly rows: number;
  /** Rows of sound around these that the network is given, too. */
  readonly rowsBefore: number;
  readonly rowsAfter: number;
  /** What is brought to mean 0 and variance 1: the whole sound, or each chunk by itself. */
  readonly levelledOver: 'sound' | 'chunk';
}

/**
 * `long`: as avatars are trained and rendered by the original, 20 s at a time, at the level of the whole sound. `short`:
 * for live streams, 0.32 s at a time, which hear 1 s before and 0.2 s after themselves.
 */
export const CHUNK_PLANS: Readonly<Record<HubertChunks, ChunkPlan>> = {
  long: { rows: 500, rowsBefore: 0, rowsAfter: 0, levelledOver: 'sound' },
  short: { rows: 8, rowsBefore: 25, rowsAfter: 5, levelledOver: 'chunk' },
};

/** Floats of a hidden state. */
export const STATE_FLOATS = 1024;
/** From the beginning of a hidden state's sound to the next one's. */
export const STATE_STEP_SAMPLES = SAMPLE_RATE_HZ / 50;
/** Samples that a hidden state's own layers see: 400. */
export const STATE_SAMPLES = STATE_STEP_SAMPLES + 80;
export const STATES_PER_ROW = 2;
export const ROW_SAMPLES = STATES_PER_ROW * STATE_STEP_SAMPLES;

/** Number of hidden states of a sound, which is taken to have 400 samples at least. */
export function stateCount(sampleCount: number): number {
  return Math.floor((Math.max(sampleCount, STATE_SAMPLES) - STATE_SAMPLES) / STATE_STEP_SAMPLES) + 1;
}

/** The samples [start, end) that chunk `chunk` is computed from, of a sound that goes on. */
export function samplesOfChunk(
  chunk: number,
  { rows, rowsBefore, rowsAfter }: ChunkPlan,
): { start: number; end: number } {
  const end = ((chunk + 1) * rows + rowsAfter) * ROW_SAMPLES + STATE_SAMPLES - STATE_STEP_SAMPLES;
  return { start: Math.max(0, (chunk * rows - rowsBefore) * ROW_SAMPLES), end };
}
