import { type FrameRate, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import type { AudioSource, IndexRange } from '../pipeline/contract.ts';

/** Frames of sound that are read at once: 1.3 MB or 1.6. */
const FRAMES_AT_ONCE = 512;

/**
 * How loud the sound is during each of these frames, 0 … 1: the root mean square of its samples; 0 after the end.
 * @param rate frames a second; 25 when absent.
 */
export async function voiceLevels(audio: AudioSource, frames: IndexRange, rate?: FrameRate): Promise<Float64Array> {
  const each = samplesPerFrame(rate);
  const levels = new Float64Array(frames.end - frames.start);
  for (let first = frames.start; first < frames.end; first += FRAMES_AT_ONCE) {
    const start = Math.min(first * each, audio.sampleCount);
    const end = Math.min(start + FRAMES_AT_ONCE * each, audio.sampleCount);
    const samples = await audio.read({ start, end });
    for (let frame = first; frame < Math.min(first + FRAMES_AT_ONCE, frames.end); frame++) {
      levels[frame - frames.start] = levelOf(samples, (frame - first) * each, each);
    }
  }
  return levels;
}

function levelOf(samples: Float32Array, start: number, count: number): number {
  const end = Math.min(start + count, samples.length);
  let sum = 0;
  for (let at = start; at < end; at++) sum += (samples[at] as number) ** 2;
  return Math.sqrt(sum / count);
}
