import type { SoundForEar } from '../../shared/renders/record.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import type { FfmpegCommand } from '../tools/ffmpeg.ts';

const AUDIO_RATE_HZ = 48_000;
const AUDIO_BITRATE = '160k';
/** Time from one AAC packet to the next one. */
export const SOUND_PACKET_S = 1024 / AUDIO_RATE_HZ;
const SAMPLES_PER_VIDEO_FRAME = AUDIO_RATE_HZ / FRAMES_PER_SECOND;

/**
 * Length of the sound track in samples at 48 kHz: as long as the picture. All AAC packets together, the priming and the
 * padding among them, are then longer than the picture by at most one video frame: 1024 + 896 samples.
 */
export function soundtrackSamples(frameCount: number): number {
  return frameCount * SAMPLES_PER_VIDEO_FRAME;
}

/** The list that ffmpeg's concat demuxer reads; the segments lie beside it. */
export function segmentList(fileNames: readonly string[]): string {
  return ['ffconcat version 1.0', ...fileNames.map((name) => `file ${name}`), ''].join('\n');
}

/**
 * Joins the segments without re-encoding and adds the sound that `prepare` kept for the ear: cut or filled with silence
 * to the length of the picture, since both end within half a frame of each other anyway.
 */
export function joinCommand(
  listPath: string,
  sound: SoundForEar & { readonly path: string },
  frameCount: number,
  outputPath: string,
): FfmpegCommand {
  const { sampleRateHz, storedChannels } = sound;
  return {
    inputs: [
      { source: listPath, options: ['-nostdin', '-f', 'concat', '-safe', '1'] },
      {
        source: sound.path,
        options: ['-f', 's16le', '-ar', String(sampleRateHz), '-ac', String(storedChannels)],
      },
    ],
    outputOptions: [
      ...['-map', '0:v:0', '-map', '1:a:0', '-c:v', 'copy'],
      ...['-af', soundFilter(sound, frameCount), '-c:a', 'aac', '-b:a', AUDIO_BITRATE],
      ...['-map_metadata', '-1', '-flags', '+bitexact', '-fflags', '+bitexact', '-movflags', '+faststart', '-f', 'mp4'],
    ],
    outputPath,
  };
}

function soundFilter({ storedChannels, channels, gain }: SoundForEar, frameCount: number): string {
  return [
    ...(channels < storedChannels ? ['pan=mono|c0=c0'] : []),
    ...(gain === 1 ? [] : ['aformat=sample_fmts=fltp', `volume=${gain}:precision=float`]),
    `aresample=${AUDIO_RATE_HZ}`,
    'apad',
    `atrim=end_sample=${soundtrackSamples(frameCount)}`,
  ].join(',');
}
