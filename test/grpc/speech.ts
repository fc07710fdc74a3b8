import path from 'node:path';
import type { SubmitOptions } from '../../client/requests.ts';
import type { TestFarm } from '../support/farm.ts';
import { framesOf } from '../support/result-files.ts';
import { syllables, writeWav } from '../support/sound.ts';

const WAV_SCALE = 32_767;
const PCM_SCALE = 32_768;

/** Speech as it is after it was written to a 16-bit WAV and read again, so that uploads and samples mean the same. */
export function speech(seconds: number, sampleRateHz = 16_000): Float32Array {
  return syllables(seconds, sampleRateHz).map((sample) => toInt16(sample) / PCM_SCALE);
}

export function f32(samples: Float32Array): Buffer {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
}

export function s16(samples: Float32Array): Buffer {
  const bytes = Buffer.alloc(samples.length * 2);
  samples.forEach((sample, index) => {
    bytes.writeInt16LE(Math.round(sample * PCM_SCALE), 2 * index);
  });
  return bytes;
}

/** The frames of a whole render of `speech(seconds)`: what live frames are compared with. */
export async function renderedFrames(
  farm: TestFarm,
  seconds: number,
  options: SubmitOptions = {},
  sampleRateHz = 16_000,
): Promise<Buffer[]> {
  const file = path.join(farm.folder, `speech-${seconds}-${sampleRateHz}.wav`);
  await writeWav(file, syllables(seconds, sampleRateHz), sampleRateHz);
  const { id } = await farm.client.submit(file, { ...options, output: 'frames' });
  await farm.client.finished(id);
  return await framesOf(farm, id);
}

/** Indices at which two lists of pictures differ. */
export function differences(got: readonly Buffer[], expected: readonly Buffer[]): number[] {
  const longest = Math.max(got.length, expected.length);
  const indices = Array.from({ length: longest }, (_, index) => index);
  return indices.filter((index) => !got[index] || !expected[index] || !got[index].equals(expected[index]));
}

/** What `writeWav` makes of a sample. */
function toInt16(sample: number): number {
  return Math.round(Math.max(-1, Math.min(1, sample)) * WAV_SCALE);
}
