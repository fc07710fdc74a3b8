import { FRAMES_PER_SECOND, SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { AudioSource, IndexRange } from '../pipeline/contract.ts';

const SAMPLES_PER_FRAME = SAMPLE_RATE_HZ / FRAMES_PER_SECOND;
/** Frames of sound that are read at once: 1.3 MB. */
const FRAMES_AT_ONCE = 512;

/** How loud the sound is during each of these frames, 0 … 1: the root mean square of its samples; 0 after the end. */
export async function voiceLevels(audio: AudioSource, frames: IndexRange): Promise<Float64Array> {
  const levels = new Float64Array(frames.end - frames.start);
  for (let first = frames.start; first < frames.end; first += FRAMES_AT_ONCE) {
    const start = Math.min(first * SAMPLES_PER_FRAME, audio.sampleCount);
    const end = Math.min(start + FRAMES_AT_ONCE * SAMPLES_PER_FRAME, audio.sampleCount);
    const samples = await audio.read({ start, end });
    for (let frame = first; frame < Math.min(first + FRAMES_AT_ONCE, frames.end); frame++) {
      levels[frame - frames.start] = levelOf(samples, (frame - first) * SAMPLES_PER_FRAME);
    }
  }
  return levels;
}

function levelOf(samples: Float32Array, start: number): number {
  const end = Math.min(start + SAMPLES_PER_FRAME, samples.length);
  let sum = 0;
  for (let at = start; at < end; at++) sum += (samples[at] as number) ** 2;
  return Math.sqrt(sum / SAMPLES_PER_FRAME);
}
