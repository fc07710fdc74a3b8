import { stat } from 'node:fs/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { SoundForEar } from '../../shared/renders/record.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { Resampler } from '../../shared/sound/resample.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { MonoMix } from './mono-mix.ts';
import { findPlainWav, plainSamples } from './plain-wav.ts';
import { longestPlausibleSeconds, tooDense } from './plausible-sound.ts';
import { SampleWriter } from './sample-writer.ts';
import { findSoundTrack, type SoundForm, type SoundTrack } from './sound-track.ts';
import { SpeechMeter } from './speech-meter.ts';
import { type StereoBlock, StereoMix } from './stereo-mix.ts';
import { UPLOAD_INPUT_OPTIONS } from './upload-input.ts';
import { refuseShortWavHeader } from './wav-length.ts';

/**
 * Reads an upload once and writes what the farm needs of it: 16 kHz mono for the mouth, and 16-bit sound at the file's
 * own quality for the ear. Nothing looks at the upload afterwards.
 */

const BYTES_PER_FLOAT = 4;
/** Silence comes in pieces, as decoded sound does. */
const LARGEST_SILENCE_BYTES = 64 * 1024;
/** Decoding runs at a hundred times real time or more, so after this long ffmpeg hangs. */
const DECODE_TIMEOUT_MS = 30 * MINUTE_MS;
/** Largest part of the samples that may be damaged. */
const MOST_DAMAGED = 0.1;
const SCALE_16_BIT = 32_768;

/** Where the sound is written; without a path for the ear only the sound for the mouth is made. */
export interface SoundPaths {
  /** 16 kHz mono float32, little-endian, no header. */
  readonly mouth: string;
  /** Interleaved 16-bit, little-endian, no header; `SoundForEar` says how to read it. */
  readonly ear?: string;
}

/** Silence that the decoded sound gets before and after what is in the file, in ms. */
export interface SilenceAround {
  readonly leadMs: number;
  readonly tailMs: number;
}
const NO_SILENCE: SilenceAround = { leadMs: 0, tailMs: 0 };

export interface DecodedSound {
  /** Samples at 16 kHz. */
  readonly sampleCount: number;
  readonly ear: SoundForEar;
  /** When somebody speaks in it. */
  readonly speech: Pick<SpeechMeter, 'secondsIn'>;
  /** Samples of the upload that were not finite, or absurdly loud, and were replaced by silence. */
  readonly replacedSamples: number;
}

/** ffmpeg's arguments: one track to interleaved float32 on standard output, in a form that never changes. */
function decodeArguments(inputPath: string, { streamIndex, form }: SoundTrack): string[] {
  const layout = form.channels === 'unknown' ? '' : `:channel_layouts=${form.channels}`;
  return [
    ...['-v', 'error', ...UPLOAD_INPUT_OPTIONS],
    // ffmpeg must not guess the layout of channels that the file does not state.
    ...['-guess_layout_max', '2', '-i', inputPath],
    ...['-map', `0:${streamIndex}`, '-vn', '-sn', '-dn'],
    ...['-af', `aresample=${form.sampleRateHz},aformat=sample_fmts=flt:sample_rates=${form.sampleRateHz}${layout}`],
    ...['-c:a', 'pcm_f32le', '-f', 'f32le', 'pipe:1'],
  ];
}

/**
 * Decodes the default sound track, or the first one where none is the default. Stops early when it is longer than
 * `maxSeconds`, the silence around it included, or than a file of its size can be.
 * FarmError: audio_unreadable, audio_implausible, audio_no_stream, audio_too_long, audio_empty, storage_failed.
 */
export async function decodeAudio(
  inputPath: string,
  paths: SoundPaths,
  maxSeconds: number,
  signal: AbortSignal,
  silence: SilenceAround = NO_SILENCE,
): Promise<DecodedSound> {
  signal.throwIfAborted();
  const fileBytes = await sizeOf(inputPath);
  const plain = await findPlainWav(inputPath);
  const track = plain?.track ?? (await findSoundTrack(inputPath, signal));
  await refuseShortWavHeader(inputPath);
  const { sampleRateHz } = track.form;
  await using mouth = await SampleWriter.create(paths.mouth);
  await using ear = paths.ear === undefined ? undefined : await SampleWriter.create(paths.ear);
  const mix = new StereoMix(track.form);
  const hearing = new Hearing(sampleRateHz);
  const [lead, tail] = [silence.leadMs, silence.tailMs].map((ms) => Math.round((ms * sampleRateHz) / 1000));
  const added = (lead as number) + (tail as number);
  let frames = -added;
  const sound = plain ? plainSamples(inputPath, plain, signal) : ffmpegSamples(inputPath, track, signal);
  for await (const samples of inSeconds(sound, track, [lead as number, tail as number])) {
    frames += samples.length / track.form.gains.length;
    if (frames + added > maxSeconds * sampleRateHz) throw tooLong(maxSeconds);
    if (frames > longestPlausibleSeconds(fileBytes) * sampleRateHz) throw tooDense(fileBytes);
    const block = mix.mix(samples);
    await mouth.write(hearing.push(block));
    await ear?.write(to16Bit(block, headroomOf(track.form)));
  }
  if (frames === 0) throw new FarmError('audio_empty', 'The sound track holds no samples');
  await mouth.write(hearing.end());
  refuseIfDamaged(mix.replacedSamples, frames * track.form.gains.length);
  if (mix.levelling !== 1) await mouth.scale(mix.levelling);
  const storedChannels = track.form.channels === 'mono' ? 1 : 2;
  return {
    sampleCount: hearing.sampleCount,
    speech: hearing.speech,
    replacedSamples: mix.replacedSamples,
    ear: {
      sampleRateHz,
      storedChannels,
      channels: track.channels === 1 && mix.isMono ? 1 : storedChannels,
      gain: headroomOf(track.form) * mix.levelling,
    },
  };
}

/** An upload that is not there is no fault of whoever sent it. */
async function sizeOf(inputPath: string): Promise<number> {
  const found = await stat(inputPath).catch((cause: Error) => {
    throw new FarmError('storage_failed', `The upload cannot be read: ${cause.message}`, { cause });
  });
  return found.size;
}

/** The track as ffmpeg decodes it, float32, interleaved. */
async function* ffmpegSamples(path: string, track: SoundTrack, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* outputOf('ffmpeg', decodeArguments(path, track), { signal, timeoutMs: DECODE_TIMEOUT_MS });
  } catch (error) {
    throw error instanceof FarmError && error.code === 'encode_failed' ? unreadable(track, error) : error;
  }
}

/**
 * The track in pieces of a second, interleaved; the last one may be shorter.
 * @param silence samples of each channel, before and after what is in the file.
 */
async function* inSeconds(
  sound: AsyncIterable<Buffer>,
  track: SoundTrack,
  silence: readonly [lead: number, tail: number],
): AsyncGenerator<Float32Array> {
  const { sampleRateHz, gains } = track.form;
  const second = Buffer.alloc(sampleRateHz * gains.length * BYTES_PER_FLOAT);
  let filled = 0;
  for await (const chunk of withSilence(sound, silence, gains.length * BYTES_PER_FLOAT)) {
    for (let taken = 0; taken < chunk.length; ) {
      const count = chunk.copy(second, filled, taken);
      taken += count;
      filled += count;
      if (filled < second.length) break;
      yield floatsOf(second);
      filled = 0;
    }
  }
  const frameBytes = gains.length * BYTES_PER_FLOAT;
  if (filled >= frameBytes) yield floatsOf(second.subarray(0, filled - (filled % frameBytes)));
}

/** @param frameBytes of a sample of each channel. */
async function* withSilence(
  sound: AsyncIterable<Buffer>,
  [lead, tail]: readonly [number, number],
  frameBytes: number,
): AsyncGenerator<Buffer> {
  yield* zeros(lead * frameBytes);
  yield* sound;
  yield* zeros(tail * frameBytes);
}

function* zeros(byteLength: number): Generator<Buffer> {
  const piece = Buffer.alloc(Math.min(byteLength, LARGEST_SILENCE_BYTES));
  for (let left = byteLength; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}

function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}

/** The mix as the mouth hears it: mono at 16 kHz. */
class Hearing {
  readonly #mono: MonoMix;
  /** Undefined where the mix is at 16 kHz already. */
  readonly #resampler: Resampler | undefined;
  readonly speech = new SpeechMeter();
  sampleCount = 0;

  constructor(sampleRateHz: number) {
    this.#mono = new MonoMix(sampleRateHz);
    if (sampleRateHz !== SAMPLE_RATE_HZ) this.#resampler = new Resampler(sampleRateHz);
  }

  push(block: StereoBlock): Float32Array {
    const mono = this.#mono.mix(block);
    return this.#counted(this.#resampler?.push(mono) ?? mono);
  }

  end(): Float32Array {
    return this.#counted(this.#resampler?.end() ?? new Float32Array());
  }

  #counted(samples: Float32Array): Float32Array {
    this.sampleCount += samples.length;
    this.speech.push(samples);
    return samples;
  }
}

/** How much louder than full scale the sum of all channels can be: it is stored so much quieter that it cannot clip. */
function headroomOf({ gains }: SoundForm): number {
  const sum = (side: 0 | 1) => gains.reduce((total, gain) => total + gain[side], 0);
  return Math.max(sum(0), sum(1));
}

/** Interleaved; samples over full scale are clipped, as players do. */
function to16Bit({ left, right }: StereoBlock, headroom: number): Int16Array {
  const scale = SCALE_16_BIT / headroom;
  const channels = left === right ? 1 : 2;
  const stored = new Int16Array(channels * left.length);
  for (let at = 0; at < left.length; at++) {
    stored[at * channels] = clipped((left[at] as number) * scale);
    if (channels === 2) stored[at * 2 + 1] = clipped((right[at] as number) * scale);
  }
  return stored;
}

function clipped(value: number): number {
  if (value >= SCALE_16_BIT - 1) return SCALE_16_BIT - 1;
  return value <= -SCALE_16_BIT ? -SCALE_16_BIT : Math.round(value);
}

function tooLong(maxSeconds: number): FarmError {
  return new FarmError('audio_too_long', `The audio lasts more than ${maxSeconds / 60} min, the most that is taken`);
}

function refuseIfDamaged(replaced: number, total: number): void {
  if (replaced <= MOST_DAMAGED * total) return;
  const percent = Math.round((100 * replaced) / total);
  throw new FarmError(
    'audio_unreadable',
    `${percent} % of the samples are no numbers, or far louder than full scale, which is ±1 for samples in float`,
  );
}

function unreadable({ codec }: SoundTrack, cause: FarmError): FarmError {
  return new FarmError('audio_unreadable', `The sound track (${codec}) cannot be decoded; the file may be damaged`, {
    cause,
  });
}
