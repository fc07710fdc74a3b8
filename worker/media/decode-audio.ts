import { stat } from 'node:fs/promises';
import { FarmError } from '../../shared/errors.ts';
import { SAMPLE_RATE_HZ } from '../pipeline/contract.ts';
import { type FfmpegCommand, probe, runFfmpeg } from './ffmpeg.ts';

/** Any audio file → 16 kHz mono float32, the form in which the pipeline reads sound. */

const BYTES_PER_SAMPLE = 4;
/** Decoding runs at a hundred times real time or more; beyond this it hangs. */
const DECODE_TIMEOUT_MS = 10 * 60 * 1000;

/**
 * Containers that hold sound. Playlists and everything else that makes ffmpeg open further files or addresses are
 * left out, and the protocols are narrowed to the file itself.
 */
const CONTAINERS = [
  'wav,w64,mp3,mov,matroska,ogg,flac,aac,aiff,au,caf,amr,ac3,eac3,dts,avi,asf,flv,mpeg,mpegts,mpegvideo,wv,ape,tta',
  'gsm,voc,rm,nut,tak,oma,mpc,mpc8,adx,ast,xwma,mlp,truehd,spdif,dv,gxf,mxf,wtv,ivf,loas,latm,sbc,aptx,nistsphere,ircam',
].join(',');

const GUARDS = ['-format_whitelist', CONTAINERS, '-protocol_whitelist', 'file'];

/** Input options that make ffmpeg safe to point at an upload. */
export const UPLOAD_INPUT_OPTIONS = ['-nostdin', ...GUARDS];

export function decodeCommand(inputPath: string, outputPath: string, maxSeconds: number): FfmpegCommand {
  return {
    inputs: [{ source: inputPath, options: UPLOAD_INPUT_OPTIONS }],
    outputOptions: [
      ...['-map', '0:a:0', '-vn', '-sn', '-dn'],
      // Channels are averaged: without the limit ffmpeg makes stereo 3 dB louder than the same sound in mono.
      ...['-af', 'aresample=rematrix_maxval=1'],
      ...['-ac', '1', '-ar', String(SAMPLE_RATE_HZ), '-c:a', 'pcm_f32le', '-f', 'f32le'],
      // One second over the limit is enough to see that it is passed.
      ...['-t', String(maxSeconds + 1)],
    ],
    outputPath,
  };
}

/**
 * Decodes the first sound track. Returns the number of samples written to `outputPath`.
 * FarmError: audio_unreadable, audio_no_stream, audio_too_long, audio_empty.
 */
export async function decodeAudio(
  inputPath: string,
  outputPath: string,
  maxSeconds: number,
  signal: AbortSignal,
): Promise<number> {
  const streams = await probe(inputPath, GUARDS);
  const sound = streams.find(({ codecType }) => codecType === 'audio');
  if (!sound) {
    const kinds = [...new Set(streams.map(({ codecType }) => codecType))].join(', ') || 'nothing';
    throw new FarmError('audio_no_stream', `The file has no sound track; it holds: ${kinds}`);
  }
  if (sound.durationS !== undefined) refuseIfTooLong(sound.durationS, maxSeconds);
  try {
    await runFfmpeg(decodeCommand(inputPath, outputPath, maxSeconds), { signal, timeoutMs: DECODE_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof FarmError) || error.code !== 'encode_failed') throw error;
    throw new FarmError('audio_unreadable', `ffmpeg cannot decode this file: ${error.message}`, { cause: error });
  }
  const sampleCount = Math.floor((await stat(outputPath)).size / BYTES_PER_SAMPLE);
  if (sampleCount === 0) throw new FarmError('audio_empty', 'The sound track holds no samples');
  refuseIfTooLong(sampleCount / SAMPLE_RATE_HZ, maxSeconds);
  return sampleCount;
}

function refuseIfTooLong(seconds: number, maxSeconds: number): void {
  if (seconds <= maxSeconds) return;
  const got = (seconds / 60).toFixed(1);
  throw new FarmError(
    'audio_too_long',
    `The audio lasts at least ${got} min; at most ${maxSeconds / 60} min are taken`,
  );
}
