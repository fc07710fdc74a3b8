import { writeFile } from 'node:fs/promises';

const HEADER_BYTES = 44;

/**
 * Sound that a mouth can follow: syllables of a buzzing voice, a few a second, with pauses between words.
 * Deterministic. Returns mono samples in [-1, 1].
 */
export function syllables(seconds: number, sampleRateHz = 16_000): Float32Array {
  const samples = new Float32Array(Math.round(seconds * sampleRateHz));
  for (let index = 0; index < samples.length; index++) {
    const timeS = index / sampleRateHz;
    const inWord = timeS % 1.6 < 1.2;
    const envelope = inWord ? Math.sin(Math.PI * ((timeS * 4) % 1)) ** 2 : 0;
    let voice = 0;
    for (let harmonic = 1; harmonic <= 12; harmonic++)
      voice += Math.sin(2 * Math.PI * 130 * harmonic * timeS) / harmonic;
    samples[index] = 0.35 * envelope * voice;
  }
  return samples;
}

/** Writes 16-bit mono WAV. */
export async function writeWav(path: string, samples: Float32Array, sampleRateHz = 16_000): Promise<void> {
  const bytes = Buffer.alloc(HEADER_BYTES + samples.length * 2);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(sampleRateHz, 24);
  bytes.writeUInt32LE(sampleRateHz * 2, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(samples.length * 2, 40);
  samples.forEach((sample, index) => {
    bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), HEADER_BYTES + index * 2);
  });
  await writeFile(path, bytes);
}
