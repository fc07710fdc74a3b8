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

/**
 * Writes 16-bit mono WAV.
 * @param saidBytes length of the sound in the header, if not the true one.
 */
export async function writeWav(
  path: string,
  samples: Float32Array,
  sampleRateHz = 16_000,
  saidBytes = samples.length * 2,
): Promise<void> {
  const data = Buffer.alloc(samples.length * 2);
  samples.forEach((sample, index) => {
    data.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), index * 2);
  });
  await writeFile(path, Buffer.concat([wavHeader(1, 2, saidBytes, sampleRateHz), data]));
}

/** Writes mono WAV in float32, any values as they are. */
export async function writeFloatWav(path: string, samples: Float32Array, sampleRateHz = 16_000): Promise<void> {
  const data = Buffer.alloc(samples.length * 4);
  samples.forEach((sample, index) => {
    data.writeFloatLE(sample, index * 4);
  });
  await writeFile(path, Buffer.concat([wavHeader(3, 4, data.length, sampleRateHz), data]));
}

/** @param format 1 for integers, 3 for float. */
function wavHeader(format: 1 | 3, sampleBytes: number, dataBytes: number, sampleRateHz: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('RIFF', 0);
  header.writeUInt32LE((HEADER_BYTES + dataBytes - 8) >>> 0, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(format, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRateHz, 24);
  header.writeUInt32LE(sampleRateHz * sampleBytes, 28);
  header.writeUInt16LE(sampleBytes, 32);
  header.writeUInt16LE(sampleBytes * 8, 34);
  header.write('data', 36);
  header.writeUInt32LE(dataBytes, 40);
  return header;
}
