import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { VideoOutput } from '../../shared/renders/outputs.ts';
import { framesOf, type RenderPlan, type SoundForEar } from '../../shared/renders/record.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { type FfmpegCommand, runFfmpeg } from '../tools/ffmpeg.ts';

/** The sound of a video. Its bytes depend on the plan only, so it may be encoded at any time, by anyone, and again. */

const AUDIO_RATE_HZ = 48_000;
/** Bits a second of AAC: the least for each channel, the most for all. */
const [LEAST_AAC_BITS, MOST_AAC_BITS] = [96_000, 160_000];
/**
 * For each Hz of a channel that holds any sound, up to the most. With more the encoder searches twice as long for bits
 * to spend: a voice recorded at 16 kHz is as near to the sound with these as ffmpeg's default coder brings it with 160
 * kbit/s, 50 dB.
 */
const AAC_BITS_A_HZ = 12;
/** What ffmpeg encodes at the most bits. */
const FULL_BAND_HZ = 20_000;
/** At such bit rates ffmpeg's quick coder is nearer to the sound than its default one, and takes half the time. */
const AAC_CODER = 'fast';
const OPUS_BITRATE = '128k';
/** Time from one packet of AAC, or Opus, to the next one. */
export const SOUND_PACKET_S: Readonly<Record<VideoOutput, number>> = {
  mp4: 1024 / AUDIO_RATE_HZ,
  webm: 960 / AUDIO_RATE_HZ,
};
const ENCODERS: Readonly<Record<VideoOutput, (sound: SoundForEar) => readonly string[]>> = {
  mp4: aacOptions,
  webm: () => ['-c:a', 'libopus', '-b:a', OPUS_BITRATE],
};

function aacOptions({ sampleRateHz, channels }: SoundForEar): string[] {
  const bandHz = Math.floor(sampleRateHz / 2);
  const bits = Math.min(MOST_AAC_BITS, channels * Math.max(LEAST_AAC_BITS, AAC_BITS_A_HZ * bandHz));
  const cutoff = bandHz < FULL_BAND_HZ ? ['-cutoff', String(bandHz)] : [];
  return ['-c:a', 'aac', '-aac_coder', AAC_CODER, '-b:a', String(bits), ...cutoff];
}

/**
 * Length of the sound track in samples at 48 kHz: as long as the picture. All AAC packets together, the priming and the
 * padding among them, are then longer than the picture by at most one video frame: 1024 + 896 samples at
 * 25 frames a second, 1024 + 992 at 20.
 */
export function soundtrackSamples(frameCount: number, rate: FrameRate = USUAL_FRAME_RATE): number {
  return (frameCount * AUDIO_RATE_HZ) / rate;
}

const ENCODE_TIMEOUT_MS = 30 * MINUTE_MS;

/** The key under which the encoded sound of a render lies; encodes it unless it is there. */
export async function soundtrackOf(
  artifacts: ArtifactStore,
  renderId: string,
  plan: Pick<RenderPlan, 'sound' | 'frameCount' | 'firstFrame'> & Pick<TimedFrames, 'frameRate'>,
  signal: AbortSignal,
  output: VideoOutput = 'mp4',
): Promise<string> {
  const key = artifactKeys.soundtrack(renderId, output);
  const isThere = (await artifacts.size(key)) !== undefined;
  if (!isThere) {
    const soundKey = artifactKeys.sound(renderId);
    await using files = await artifacts.checkOut([soundKey], { signal });
    const sound = soundOf(plan, files.path(soundKey));
    await artifacts.publish(key, async (target) => {
      const command = soundtrackCommand(sound, { ...framesOf(plan), frameRate: plan.frameRate }, target, output);
      await runFfmpeg(command, { signal, timeoutMs: ENCODE_TIMEOUT_MS });
    });
  }
  return key;
}

interface TimedFrames {
  readonly start: number;
  readonly end: number;
  readonly frameRate?: FrameRate | undefined;
}

/**
 * The sound that `prepare` kept for the ear → AAC in an MP4, or Opus in a WebM: cut or filled with silence to the length of the picture,
 * since both end within half a frame of each other anyway.
 * @param frames of the whole sound, [start, end), that the picture has, and how many a second; 25 when absent.
 */
export function soundtrackCommand(
  sound: SoundForEar & { readonly path: string },
  frames: TimedFrames,
  outputPath: string,
  output: VideoOutput = 'mp4',
): FfmpegCommand {
  const { sampleRateHz, storedChannels } = sound;
  const options = ['-nostdin', '-f', 's16le', '-ar', String(sampleRateHz), '-ac', String(storedChannels)];
  return {
    inputs: [{ source: sound.path, options }],
    outputOptions: [
      ...['-map', '0:a:0', '-af', soundFilter(sound, frames)],
      ...ENCODERS[output](sound),
      ...['-map_metadata', '-1', '-flags', '+bitexact', '-fflags', '+bitexact', '-f', output],
    ],
    outputPath,
  };
}

function soundFilter({ storedChannels, channels, gain }: SoundForEar, { start, end, frameRate }: TimedFrames): string {
  const cut = start === 0 ? '' : `start_sample=${soundtrackSamples(start, frameRate)}:`;
  return [
    ...(channels < storedChannels ? ['pan=mono|c0=c0'] : []),
    ...(gain === 1 ? [] : ['aformat=sample_fmts=fltp', `volume=${gain}:precision=float`]),
    `aresample=${AUDIO_RATE_HZ}`,
    'apad',
    `atrim=${cut}end_sample=${soundtrackSamples(end, frameRate)}`,
    ...(start === 0 ? [] : ['asetpts=PTS-STARTPTS']),
  ].join(',');
}

function soundOf({ sound }: Pick<RenderPlan, 'sound'>, path: string): SoundForEar & { path: string } {
  if (sound) return { ...sound, path };
  throw new FarmError('internal', 'The plan says nothing of the sound: it was made by an earlier version of the farm');
}
