import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { endianness, tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { reportFailure } from '../../shared/process/report-failure.ts';
import { MEL_BANDS } from '../../shared/sound/rates.ts';
import { AudioFile } from '../media/audio-file.ts';
import { decodeAudio } from '../media/decode-audio.ts';
import { melOfSound } from '../pipeline/mel-of-sound.ts';

/** A day of sound. */
const LONGEST_SECONDS = 24 * 3600;

/**
 * `node worker/commands/inspect-mel.ts IN OUT`: decodes IN as a render would and writes its normalised mel to OUT, T×80 float32,
 * little-endian, time-major, so that anyone can compare it with their own.
 */
async function main(): Promise<void> {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } });
  const [inputPath, outputPath] = positionals;
  if (!inputPath || !outputPath) throw new FarmError('request_invalid', 'Usage: inspect mel IN OUT');
  if (endianness() !== 'LE') throw new FarmError('internal', 'This command needs a little-endian machine');
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-mel-'));
  try {
    const samplesPath = path.join(folder, 'audio.f32');
    await decodeAudio(inputPath, { mouth: samplesPath }, LONGEST_SECONDS, new AbortController().signal);
    await using sound = await AudioFile.open(samplesPath);
    const melFrames = await writeMel(sound, outputPath);
    const { sampleCount } = sound;
    const facts = { out: path.resolve(outputPath), frames: melFrames, bands: MEL_BANDS, samples: sampleCount };
    const words = `${outputPath}: ${melFrames} × ${MEL_BANDS} float32 from ${sampleCount} samples`;
    process.stdout.write(`${values.json ? JSON.stringify(facts, null, 2) : words}\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Returns the number of mel frames written. */
async function writeMel(sound: AudioFile, outputPath: string): Promise<number> {
  let floats = 0;
  const chunks = async function* () {
    for await (const { data } of melOfSound(sound)) {
      floats += data.length;
      yield Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    }
  };
  await pipeline(Readable.from(chunks()), createWriteStream(outputPath));
  return floats / MEL_BANDS;
}

main().catch(reportFailure);
