import { type FileHandle, open } from 'node:fs/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { formOf, RATES_TAKEN_AS_THEY_ARE, type SoundTrack } from './sound-track.ts';
import {
  afterChunk,
  CHUNK_HEADER_BYTES,
  CHUNK_NAME,
  chunkAt,
  isWav,
  MOST_CHUNKS,
  RIFF_HEADER_BYTES,
  readAt,
  UNKNOWN_SIZES,
} from './wav-chunks.ts';

/**
 * WAV files as voices come in them, read without ffprobe and ffmpeg: to start the two takes longer than all the rest of
 * reading a short sound. Whatever is unusual about a file is left to them; what is read here is, to the bit, what
 * they give.
 */

/** Form and bits of a sample: whole numbers, or floats. */
const CODECS = new Map([
  ['1/16', 'pcm_s16le'],
  ['3/32', 'pcm_f32le'],
]);
const FORM_BYTES = 16;
/** A form that says more: which bits count, where the channels are, and the form of the samples in its last bytes. */
const LONG_FORM = 0xfffe;
const LONG_FORM_BYTES = 40;
const LONG_FORM_END = '000000001000800000aa00389b71';
/** Where one channel or two are, as ffmpeg takes it too where nothing is said. */
const PLACES = new Map([
  [1, [0, 4]],
  [2, [0, 3]],
]);
const FLOAT_BYTES = 4;
const PIECE_BYTES = 256 * 1024;
/** Where ffmpeg looks for sound of other codecs that was written as if it were samples. */
const LOOKED_AT_BYTES = 64 * 1024;
/** How such sound begins: S/PDIF and DTS, in either order of bytes, after any silence; AC-3 at the very beginning. */
const CODED = ['72f81f4e', 'f8724e1f', '7ffe8001', 'fe7f0180'].map((hex) => Buffer.from(hex, 'hex'));
const AC3 = ['0b77', '770b'];

export interface PlainWav {
  readonly track: SoundTrack;
  /** Where the samples lie. */
  readonly start: number;
  readonly byteLength: number;
}

/** What is in a WAV file of one or two channels of 16-bit or float samples; undefined for any other file. */
export async function findPlainWav(path: string): Promise<PlainWav | undefined> {
  await using file = await open(path);
  if (!(await isWav(file))) return undefined;
  const found = await findChunks(file);
  if (!found) return undefined;
  const track = trackOf(found.form);
  const { start, byteLength } = found;
  if (!track || byteLength % (track.channels * bytesOf(track)) !== 0) return undefined;
  const beginning = await readAt(file, start, Math.min(LOOKED_AT_BYTES, byteLength));
  return isCoded(beginning) ? undefined : { track, start, byteLength };
}

/** Its samples as float32, interleaved. @throws FarmError `storage_failed`, or the signal's reason. */
export async function* plainSamples(
  path: string,
  { track, start, byteLength }: PlainWav,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  await using file = await open(path);
  for (let at = start; at < start + byteLength; at += PIECE_BYTES) {
    signal.throwIfAborted();
    const wanted = Math.min(PIECE_BYTES, start + byteLength - at);
    const bytes = await readAt(file, at, wanted);
    if (bytes.length < wanted) throw new FarmError('storage_failed', 'The upload became shorter while it was read');
    yield track.codec === 'pcm_f32le' ? bytes : floatsOf16Bit(bytes);
  }
}

/** The form of the samples and where they lie, if the chunks of the file are whole and it has one of each. */
async function findChunks(file: FileHandle) {
  const { size } = await file.stat();
  let form: Buffer | undefined;
  let samples: { readonly start: number; readonly byteLength: number } | undefined;
  let at = RIFF_HEADER_BYTES;
  for (let count = 0; count < MOST_CHUNKS && at < size; count++) {
    const { name, bytes } = await chunkAt(file, at);
    const start = at + CHUNK_HEADER_BYTES;
    if (!CHUNK_NAME.test(name) || start + bytes > size) return undefined;
    if (name === 'fmt ') {
      if (form || bytes < FORM_BYTES || bytes > LONG_FORM_BYTES) return undefined;
      form = await readAt(file, start, bytes);
    } else if (name === 'data') {
      if (samples || !form || UNKNOWN_SIZES.has(bytes)) return undefined;
      samples = { start, byteLength: bytes };
    }
    at = afterChunk(at, bytes);
  }
  return form && samples && at >= size ? { form, ...samples } : undefined;
}

function isCoded(beginning: Buffer): boolean {
  return CODED.some((sign) => beginning.includes(sign)) || AC3.includes(beginning.toString('hex', 0, 2));
}

function trackOf(form: Buffer): SoundTrack | undefined {
  const [channels, sampleRateHz] = [form.readUInt16LE(2), form.readUInt32LE(4)];
  const [frameBytes, bits] = [form.readUInt16LE(12), form.readUInt16LE(14)];
  const codec = CODECS.get(`${tagOf(form, channels, bits)}/${bits}`);
  const { min, max } = RATES_TAKEN_AS_THEY_ARE;
  const isUsual = (channels === 1 || channels === 2) && sampleRateHz >= min && sampleRateHz <= max;
  if (codec === undefined || !isUsual || frameBytes * 8 !== channels * bits) return undefined;
  return { streamIndex: 0, codec, channels, form: formOf({ codec, channels, layout: undefined, sampleRateHz }) };
}

/** How samples are written; undefined for what is unusual. */
function tagOf(form: Buffer, channels: number, bits: number): number | undefined {
  const tag = form.readUInt16LE(0);
  if (tag !== LONG_FORM) return tag;
  if (form.length < LONG_FORM_BYTES || form.readUInt16LE(18) !== bits) return undefined;
  const isUsual = PLACES.get(channels)?.includes(form.readUInt32LE(20));
  return isUsual && form.toString('hex', 26) === LONG_FORM_END ? form.readUInt16LE(24) : undefined;
}

function bytesOf({ codec }: SoundTrack): number {
  return codec === 'pcm_f32le' ? FLOAT_BYTES : 2;
}

function floatsOf16Bit(bytes: Buffer): Buffer {
  const floats = new Float32Array(bytes.length / 2);
  for (let place = 0; place < floats.length; place++) floats[place] = bytes.readInt16LE(2 * place) / 32_768;
  return Buffer.from(floats.buffer);
}
