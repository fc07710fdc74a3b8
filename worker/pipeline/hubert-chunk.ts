/** Sound → what HuBERT is given of one chunk of it, and its hidden states → feature rows. */
import {
  type ChunkPlan,
  ROW_SAMPLES,
  STATE_FLOATS,
  STATE_SAMPLES,
  STATES_PER_ROW,
  samplesOfChunk,
  stateCount,
} from '../../shared/sound/hubert-chunks.ts';
import type { AudioSource, IndexRange } from './contract.ts';

/** Mean and variance of samples: what these are brought to 0 and 1 by. */
export interface SoundLevel {
  readonly mean: number;
  readonly variance: number;
}

/** Keeps silence from being divided by zero. */
const LEAST_VARIANCE = 1e-7;
/** 10 s: the whole sound may be hours long. */
const LEVEL_PIECE_SAMPLES = 160_000;
export const ROW_FLOATS = STATES_PER_ROW * STATE_FLOATS;

/** The level of a whole sound, read piece by piece. */
export async function levelOfSound(audio: AudioSource): Promise<SoundLevel> {
  let sum = 0;
  let squares = 0;
  for (let start = 0; start < audio.sampleCount; start += LEVEL_PIECE_SAMPLES) {
    const end = Math.min(start + LEVEL_PIECE_SAMPLES, audio.sampleCount);
    for (const sample of await audio.read({ start, end })) {
      sum += sample;
      squares += sample * sample;
    }
  }
  const mean = sum / audio.sampleCount;
  return { mean, variance: Math.max(0, squares / audio.sampleCount - mean * mean) };
}

/** Number of samples after which no more sound changes a chunk that is levelled by itself. */
export function samplesOfHubertChunk(chunk: number, plan: ChunkPlan): number {
  return samplesOfChunk(chunk, plan).end;
}

/** The samples [start, end) that chunk `chunk` of a sound of this length is computed from. */
function samplesOf(chunk: number, plan: ChunkPlan, sampleCount: number): IndexRange {
  const { start, end } = samplesOfChunk(chunk, plan);
  // The rest of a sound that is too short for a row of its own belongs to the last chunk.
  const isLast = chunk >= Math.floor(sampleCount / (plan.rows * ROW_SAMPLES));
  return { start, end: isLast ? sampleCount : Math.min(end, sampleCount) };
}

/**
 * The samples that HuBERT is given of a chunk: 400 at least.
 * @param whole level of the whole sound; absent: the chunk's own.
 */
export async function readChunk(
  audio: AudioSource,
  chunk: number,
  plan: ChunkPlan,
  whole: SoundLevel | undefined,
): Promise<Float32Array> {
  const range = samplesOf(chunk, plan, audio.sampleCount);
  const samples = await audio.read(range);
  const { mean, variance } =
    whole ??
    (await levelOfSound({ sampleCount: samples.length, read: async (part) => samples.subarray(part.start, part.end) }));
  const scale = 1 / Math.sqrt(variance + LEAST_VARIANCE);
  const levelled = new Float32Array(Math.max(samples.length, STATE_SAMPLES));
  for (const [place, sample] of samples.entries()) levelled[place] = (sample - mean) * scale;
  return levelled;
}

/**
 * The rows of a chunk out of the hidden states of what it was given: [rows, 2, 1024], zeros after the last state of the
 * sound.
 */
export function rowsOfChunk(states: Float32Array, chunk: number, plan: ChunkPlan, sampleCount: number): Float32Array {
  const rows = new Float32Array(plan.rows * ROW_FLOATS);
  const given = Math.max(0, chunk * plan.rows - plan.rowsBefore) * STATES_PER_ROW;
  const first = chunk * plan.rows * STATES_PER_ROW;
  const end = Math.min(first + plan.rows * STATES_PER_ROW, stateCount(sampleCount));
  rows.set(states.subarray((first - given) * STATE_FLOATS, (end - given) * STATE_FLOATS));
  return rows;
}
