/**
 * How much sound a feature row depends on, for each kind. The front end cuts live sound by it; the pipeline's own stages
 * define it, and a test compares the two. Samples at 16 kHz, of a sound that goes on unless it says otherwise.
 */
import { AUDIO_KIND_FACTS } from './audio-kinds.ts';
import type { Hearing } from './hearing.ts';
import { CHUNK_PLANS, samplesOfChunk } from './hubert-chunks.ts';
import {
  FFT_SIZE,
  FRAMES_PER_SECOND,
  HOP_SAMPLES,
  MEL_FRAMES_PER_SECOND,
  SAMPLE_RATE_HZ,
  WINDOW_MEL_FRAMES,
} from './rates.ts';
import { samplesOfWenetRow } from './wenet-rows.ts';

/** Rows behind a frame's own that low-latency streams hear: enough to close the mouth in time for a consonant. */
export const LOW_LATENCY_ROWS_AHEAD = 2;

const HALF_FFT_SAMPLES = FFT_SIZE / 2;
/** Pre-emphasis looks at the sample before. */
const PRE_EMPHASIS_SAMPLES = 1;
/** Row r of `ave` shows window r − 1: the first row is there twice. */
const ROW_LEAD = 1;

/** Number of samples after which row `row` depends on no later ones; infinite where it depends on the whole sound. */
export function samplesUntilRow(row: number, { kind, hubertChunks }: Hearing): number {
  if (kind === 'wenet') return samplesOfWenetRow(row).end;
  if (kind === 'ave') return (windowStart(row) + WINDOW_MEL_FRAMES - 1) * HOP_SAMPLES + HALF_FFT_SAMPLES;
  const plan = CHUNK_PLANS[hubertChunks];
  if (plan.levelledOver === 'sound') return Number.POSITIVE_INFINITY;
  return samplesOfChunk(Math.floor(Math.max(0, row) / plan.rows), plan).end;
}

/** First sample that rows from `row` on depend on. */
export function firstSampleOfRow(row: number, { kind, hubertChunks }: Hearing): number {
  if (kind === 'wenet') return Math.max(0, samplesOfWenetRow(row).start);
  if (kind === 'ave') return Math.max(0, windowStart(row) * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES);
  const plan = CHUNK_PLANS[hubertChunks];
  if (plan.levelledOver === 'sound') return 0;
  return samplesOfChunk(Math.floor(Math.max(0, row) / plan.rows), plan).start;
}

/**
 * The same to the end of a sound that is finished: the last windows of `ave` are pulled back to its end.
 */
export function firstSampleOfRowToEnd(row: number, hearing: Hearing, sampleCount: number): number {
  const first = firstSampleOfRow(row, hearing);
  if (hearing.kind !== 'ave') return first;
  const melFrameTotal = 1 + Math.floor(sampleCount / HOP_SAMPLES);
  const lastWindow = (melFrameTotal - WINDOW_MEL_FRAMES) * HOP_SAMPLES - HALF_FFT_SAMPLES - PRE_EMPHASIS_SAMPLES;
  return Math.max(0, Math.min(first, lastWindow));
}

/**
 * Longest time in ms from the beginning of a frame to the end of the sound that it depends on; infinite where that is
 * the whole sound.
 * @param rowsAhead rows behind its own that a frame hears.
 */
export function algorithmicLatencyMs(hearing: Hearing, rowsAhead: number): number {
  const ahead = Math.min(rowsAhead, hearing.rowsAfter);
  const rowSamples = SAMPLE_RATE_HZ / AUDIO_KIND_FACTS[hearing.kind].framesPerSecond;
  // The rows of a chunk come together: that of the first row is the longest wait.
  const rows = hearing.kind === 'hubert' ? CHUNK_PLANS[hearing.hubertChunks].rows : 1;
  const waits = Array.from({ length: rows }, (_, row) => samplesUntilRow(row + ahead, hearing) - row * rowSamples);
  return (1000 * Math.max(...waits)) / SAMPLE_RATE_HZ;
}

/** Whether frames are ready before a sound has ended. */
export function isLive(hearing: Hearing): boolean {
  return Number.isFinite(samplesUntilRow(0, hearing));
}

/** First mel frame of the window of `ave` row `row`, if the sound is long enough. */
function windowStart(row: number): number {
  return Math.floor((MEL_FRAMES_PER_SECOND * Math.max(0, row - ROW_LEAD)) / FRAMES_PER_SECOND);
}

/** "hubert, 8 rows, streams wait 645 ms" */
export function describeHearing(hearing: Hearing): string {
  const rows = hearing.rowsBefore + 1 + hearing.rowsAfter;
  const latencyMs = Math.round(algorithmicLatencyMs(hearing, hearing.rowsAfter));
  const live = isLive(hearing) ? `streams wait ${latencyMs} ms` : 'no streams (hubert_chunks: short gives some)';
  return `${hearing.kind}, ${rows} rows, ${live}`;
}
