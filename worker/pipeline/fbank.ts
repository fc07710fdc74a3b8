/**
 * Sound → filter banks, any range of frames at a time, as Kaldi's `fbank` makes them: 80 bands of 25 ms every 10 ms, no
 * dither. The sound is taken in whole 16-bit steps, with the silence around it that WeNet's rows need.
 */
import {
  FBANK_BANDS,
  FBANK_FRAMES_PER_ROW,
  FBANK_FRAMES_PER_STEP,
  FBANK_SAMPLES,
  FBANK_STEP_SAMPLES,
  fbankFrameCount,
  SILENCE_BEFORE_SAMPLES,
} from '../../shared/sound/wenet-rows.ts';
import type { AudioSource, IndexRange } from './contract.ts';
import { FBANK_FFT_SIZE, makeFbankFilters } from './fbank-filters.ts';
import { powerSpectrum } from './power-spectrum.ts';

const PRE_EMPHASIS = 0.97;
/** The smallest energy that has a logarithm here: float32's step at 1. */
const SMALLEST_ENERGY = 2 ** -23;
const FULL_SCALE = 32_767;
const FILTERS = makeFbankFilters();
/** Povey's window: a symmetric Hann window to the power of 0.85. */
const WINDOW = Float64Array.from(
  { length: FBANK_SAMPLES },
  (_, n) => (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / (FBANK_SAMPLES - 1))) ** 0.85,
);

const signal = new Float64Array(FBANK_FFT_SIZE);
const power = new Float64Array(FBANK_FFT_SIZE / 2);

/**
 * Frames [start, end) of a sound's filter banks, natural logarithms; frames after the last one are zeros.
 * @returns (end − start) × 80, time-major.
 */
export async function readFbank(audio: AudioSource, frames: IndexRange): Promise<Float32Array> {
  const fbank = new Float32Array((frames.end - frames.start) * FBANK_BANDS);
  const end = Math.min(frames.end, fbankFrameCount(audio.sampleCount));
  const first = frames.start * FBANK_STEP_SAMPLES - SILENCE_BEFORE_SAMPLES;
  const last = (end - 1) * FBANK_STEP_SAMPLES + FBANK_SAMPLES - SILENCE_BEFORE_SAMPLES;
  const heldEnd = Math.min(Math.max(last, 0), audio.sampleCount);
  const held = { start: Math.min(Math.max(first, 0), heldEnd), end: heldEnd };
  const samples = await audio.read(held);
  const steps = new Float64Array(Math.max(0, last - first));
  for (const [place, sample] of samples.entries()) steps[held.start - first + place] = toStep(sample);
  for (let frame = frames.start; frame < end; frame++) {
    writeFrame(steps, (frame - frames.start) * FBANK_STEP_SAMPLES, fbank, (frame - frames.start) * FBANK_BANDS);
  }
  return fbank;
}

/** The frames that a non-empty range of WeNet's rows is made of. */
export function fbankFramesOfRows({ start, end }: IndexRange): IndexRange {
  return { start: start * FBANK_FRAMES_PER_STEP, end: (end - 1) * FBANK_FRAMES_PER_STEP + FBANK_FRAMES_PER_ROW };
}

/** The encoder's windows of consecutive rows: [count, 1, 67, 80]. @param fbank of `fbankFramesOfRows`. */
export function gatherFbankWindows(fbank: Float32Array, count: number): Float32Array {
  const step = FBANK_FRAMES_PER_STEP * FBANK_BANDS;
  const length = FBANK_FRAMES_PER_ROW * FBANK_BANDS;
  const windows = new Float32Array(count * length);
  for (let row = 0; row < count; row++) windows.set(fbank.subarray(row * step, row * step + length), row * length);
  return windows;
}

/** As a 16-bit file of it is read: cut off towards zero. */
function toStep(sample: number): number {
  return Math.trunc(Math.fround(Math.min(1, Math.max(-1, sample)) * FULL_SCALE));
}

function writeFrame(steps: Float64Array, from: number, fbank: Float32Array, to: number): void {
  let mean = 0;
  for (let n = 0; n < FBANK_SAMPLES; n++) mean += steps[from + n] as number;
  mean /= FBANK_SAMPLES;
  for (let n = FBANK_SAMPLES - 1; n >= 0; n--) {
    const sample = (steps[from + n] as number) - mean;
    const previous = (steps[from + Math.max(0, n - 1)] as number) - mean;
    signal[n] = (sample - PRE_EMPHASIS * previous) * (WINDOW[n] as number);
  }
  signal.fill(0, FBANK_SAMPLES);
  powerSpectrum(signal, power);
  const { firstBin, offset, weights } = FILTERS;
  for (let band = 0; band < FBANK_BANDS; band++) {
    let bin = firstBin[band] as number;
    let energy = 0;
    for (let i = offset[band] as number; i < (offset[band + 1] as number); i++) {
      energy += (weights[i] as number) * (power[bin++] as number);
    }
    fbank[to + band] = Math.log(Math.max(SMALLEST_ENERGY, energy));
  }
}
