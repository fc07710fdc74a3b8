/**
 * How the feature rows of a sound are made, for each kind: which rows there are, and which part of the sound an encoder
 * makes each of. A part is what is encoded at once: a window of mel or of filter banks, a chunk for HuBERT.
 */
import { AUDIO_KIND_FACTS } from '../../shared/sound/audio-kinds.ts';
import type { Hearing } from '../../shared/sound/hearing.ts';
import { CHUNK_PLANS, STATES_PER_ROW, stateCount } from '../../shared/sound/hubert-chunks.ts';
import { WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import { samplesOfWenetRow, wenetRowCount } from '../../shared/sound/wenet-rows.ts';
import type { AudioEncoder, AudioSource, IndexRange } from './contract.ts';
import { encodeChunk, encodeFbank, encodeWindows, levelOfSound, samplesOfHubertChunk } from './pipeline.ts';
import {
  featureRowCount,
  melFrameCount,
  paddedSampleCount,
  samplesOfMelFrames,
  windowCount,
  windowOfRow,
  windowStart,
} from './sound-ranges.ts';
import type { StageClock } from './stage-timings.ts';

export interface FeatureRecipe {
  /** Floats in a feature row. */
  readonly rowFloats: number;
  /** Floats that a part gives. */
  readonly partFloats: number;
  readonly rowTotal: number;
  readonly partTotal: number;
  /** Whether parts share runs of the encoder, so that their bits depend on which do. */
  readonly sharesRuns: boolean;
  /** The part that gives row `row`, 0 ≤ row < rowTotal, and where in it. */
  placeOf(row: number): { readonly part: number; readonly at: number };
  /** Names a part as long as more sound may come. */
  nameOf(part: number): number;
  /** Number of samples after which no more sound changes the part. */
  finalAfter(part: number): number;
  /** The features of parts [start, end), from end to end. */
  encode(parts: IndexRange, clock: StageClock): Promise<Float32Array>;
}

export interface SoundToEncode {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
}

/** The recipe for what a network hears, for one sound. */
export function recipeFor(hearing: Hearing, sound: SoundToEncode): FeatureRecipe {
  if (hearing.kind === 'hubert') return hubertRecipe(hearing, sound);
  return hearing.kind === 'wenet' ? wenetRecipe(sound) : aveRecipe(sound);
}

function aveRecipe(sound: SoundToEncode): FeatureRecipe {
  const melFrameTotal = melFrameCount(paddedSampleCount(sound.audio.sampleCount));
  const windowTotal = windowCount(melFrameTotal);
  const { rowFloats } = AUDIO_KIND_FACTS.ave;
  const startOf = (window: number) => windowStart(window, melFrameTotal);
  return {
    ...{ rowFloats, partFloats: rowFloats, rowTotal: featureRowCount(windowTotal), partTotal: windowTotal },
    sharesRuns: true,
    placeOf: (row) => ({ part: windowOfRow(row, windowTotal), at: 0 }),
    // The last windows are pulled back to the end of the sound so far.
    nameOf: startOf,
    finalAfter: (window) => {
      const start = startOf(window);
      return samplesOfMelFrames({ start, end: start + WINDOW_MEL_FRAMES }, Number.POSITIVE_INFINITY).end;
    },
    encode: (windows, clock) => encodeWindows(sound, windows, clock),
  };
}

function wenetRecipe(sound: SoundToEncode): FeatureRecipe {
  const { rowFloats } = AUDIO_KIND_FACTS.wenet;
  const rowTotal = wenetRowCount(sound.audio.sampleCount);
  return {
    ...{ rowFloats, partFloats: rowFloats, rowTotal, partTotal: rowTotal },
    sharesRuns: false,
    placeOf: (row) => ({ part: row, at: 0 }),
    nameOf: (row) => row,
    finalAfter: (row) => samplesOfWenetRow(row).end,
    encode: (rows, clock) => encodeFbank(sound, rows, clock),
  };
}

function hubertRecipe({ hubertChunks }: Hearing, sound: SoundToEncode): FeatureRecipe {
  const plan = CHUNK_PLANS[hubertChunks];
  const { rowFloats } = AUDIO_KIND_FACTS.hubert;
  const rowTotal = Math.ceil(stateCount(sound.audio.sampleCount) / STATES_PER_ROW);
  const partFloats = plan.rows * rowFloats;
  const levelled = plan.levelledOver === 'sound';
  let level: ReturnType<typeof levelOfSound> | undefined;
  return {
    ...{ rowFloats, partFloats, rowTotal, partTotal: Math.ceil(rowTotal / plan.rows) },
    sharesRuns: false,
    placeOf: (row) => ({ part: Math.floor(row / plan.rows), at: (row % plan.rows) * rowFloats }),
    nameOf: (chunk) => chunk,
    finalAfter: (chunk) => (levelled ? Number.POSITIVE_INFINITY : samplesOfHubertChunk(chunk, plan)),
    encode: async (chunks, clock) => {
      if (levelled) level ??= levelOfSound(sound.audio);
      const rows = new Float32Array((chunks.end - chunks.start) * partFloats);
      for (let chunk = chunks.start; chunk < chunks.end; chunk++) {
        rows.set(await encodeChunk(sound, chunk, plan, await level, clock), (chunk - chunks.start) * partFloats);
      }
      return rows;
    },
  };
}
