/**
 * Sound → normalised mel, any range of frames at a time. A frame depends only on its own 800 samples and the one before
 * them, so it is the same, bit for bit, in whatever range it is computed.
 */
import { FFT_SIZE, HOP_SAMPLES, MEL_BANDS } from '../../shared/sound/rates.ts';
import type { AudioSource, IndexRange, MelPiece } from './contract.ts';
import { realFftMagnitudes, SPECTRUM_BINS } from './fft.ts';
import { makeMelFilters } from './mel-filters.ts';
import { paddedSampleCount, samplesOfMelFrames } from './sound-ranges.ts';

const PRE_EMPHASIS = 0.97;
const SMALLEST_MAGNITUDE = 1e-5;
const REFERENCE_DB = 20;
const LOWEST_DB = -100;
const LARGEST_VALUE = 4;

const FILTERS = makeMelFilters();
/** Periodic Hann: the symmetric one (÷ 799) looks almost right and is wrong. */
const HANN = Float64Array.from({ length: FFT_SIZE }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FFT_SIZE));

const windowed = new Float64Array(FFT_SIZE);
const magnitudes = new Float64Array(SPECTRUM_BINS);

/** A stretch of a sound at 16 kHz: all the samples that the wanted mel frames depend on. */
export interface SoundPiece {
  readonly samples: Float32Array;
  /** Where `samples[0]` lies in the whole sound. */
  readonly firstSample: number;
  readonly totalSamples: number;
}

/** Reads the samples that these mel frames need and computes the frames. */
export async function readMel(audio: AudioSource, melFrames: IndexRange): Promise<MelPiece> {
  const totalSamples = paddedSampleCount(audio.sampleCount);
  const needed = samplesOfMelFrames(melFrames, totalSamples);
  const held = { start: Math.min(needed.start, audio.sampleCount), end: Math.min(needed.end, audio.sampleCount) };
  let samples = await audio.read(held);
  if (held.end < needed.end) {
    const padded = new Float32Array(needed.end - needed.start);
    padded.set(samples);
    samples = padded;
  }
  const piece = { samples, firstSample: needed.start, totalSamples };
  return { data: computeMel(piece, melFrames), firstFrame: melFrames.start };
}

/**
 * Normalised mel, values −4 … 4, of frames [start, end) of a sound.
 * @param piece holds at least `samplesOfMelFrames(melFrames, piece.totalSamples)`.
 * @param melFrames within [0, melFrameCount(piece.totalSamples)].
 * @returns (end − start) × 80, time-major.
 */
export function computeMel(piece: SoundPiece, melFrames: IndexRange): Float32Array {
  const count = Math.max(0, melFrames.end - melFrames.start);
  const mel = new Float32Array(count * MEL_BANDS);
  const emphasised = preEmphasise(piece, melFrames.start * HOP_SAMPLES - FFT_SIZE / 2, count);
  for (let frame = 0; frame < count; frame++) {
    const from = frame * HOP_SAMPLES;
    for (let n = 0; n < FFT_SIZE; n++) windowed[n] = (emphasised[from + n] as number) * (HANN[n] as number);
    realFftMagnitudes(windowed, magnitudes, FILTERS.lowestBin, FILTERS.highestBin);
    writeBands(mel, frame * MEL_BANDS);
  }
  return mel;
}

/**
 * y[n] = x[n] − 0.97·x[n−1] (y[0] = x[0]) from `start` on, as far as `frameCount` frames reach. Outside the sound y is
 * zero: the sound is emphasised first and padded afterwards, so y[N] is 0 and not −0.97·x[N−1].
 */
function preEmphasise(piece: SoundPiece, start: number, frameCount: number): Float64Array {
  const { samples, firstSample, totalSamples } = piece;
  const length = frameCount === 0 ? 0 : (frameCount - 1) * HOP_SAMPLES + FFT_SIZE;
  const emphasised = new Float64Array(length);
  const end = Math.min(start + length, totalSamples, firstSample + samples.length);
  for (let n = Math.max(start, firstSample, 0); n < end; n++) {
    const previous = n === 0 || n === firstSample ? 0 : (samples[n - 1 - firstSample] as number);
    emphasised[n - start] = (samples[n - firstSample] as number) - PRE_EMPHASIS * previous;
  }
  return emphasised;
}

/** The 80 bands of the spectrum in `magnitudes`, in decibels, scaled from −100 … 0 dB to −4 … 4 and clipped. */
function writeBands(mel: Float32Array, at: number): void {
  const { firstBin, offset, weights } = FILTERS;
  for (let band = 0; band < MEL_BANDS; band++) {
    const end = offset[band + 1] as number;
    let bin = firstBin[band] as number;
    let sum = 0;
    for (let i = offset[band] as number; i < end; i++) sum += (weights[i] as number) * (magnitudes[bin++] as number);
    const decibels = 20 * Math.log10(Math.max(SMALLEST_MAGNITUDE, sum)) - REFERENCE_DB;
    const value = (2 * LARGEST_VALUE * (decibels - LOWEST_DB)) / -LOWEST_DB - LARGEST_VALUE;
    mel[at + band] = Math.min(LARGEST_VALUE, Math.max(-LARGEST_VALUE, value));
  }
}
