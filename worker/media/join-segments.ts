import type { VideoOutput } from '../../shared/renders/outputs.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { FfmpegCommand } from '../tools/ffmpeg.ts';

/** The list that ffmpeg's concat demuxer reads; the segments lie beside it. */
export function segmentList(fileNames: readonly string[]): string {
  return ['ffconcat version 1.0', ...fileNames.map((name) => `file ${name}`), ''].join('\n');
}

/** What the segments of a video are. */
export interface VideoForm {
  readonly output: VideoOutput;
  /** Whether each picture has alpha. */
  readonly hasAlpha: boolean;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
}

const DEMUXERS: Readonly<Record<VideoOutput, string>> = { mp4: 'mov', webm: 'matroska' };

/** Joins the segments and the sound, without encoding any of them again. */
export function joinCommand(
  listPath: string,
  soundtrackPath: string,
  outputPath: string,
  form: VideoForm = { output: 'mp4', hasAlpha: false },
): FfmpegCommand {
  return {
    inputs: [
      { source: listPath, options: ['-nostdin', '-f', 'concat', '-safe', '1'] },
      { source: soundtrackPath, options: ['-f', DEMUXERS[form.output]] },
    ],
    outputOptions: [
      ...['-map', '0:v:0', '-map', '1:a:0', '-c', 'copy'],
      ...['-map_metadata', '-1', '-flags', '+bitexact', '-fflags', '+bitexact'],
      ...(form.output === 'mp4' ? ['-movflags', '+faststart'] : []),
      // The packets bring their alpha along; players look for it where the file says so.
      ...(form.hasAlpha ? ['-metadata:s:v:0', 'alpha_mode=1'] : []),
      ...['-f', form.output],
    ],
    outputPath,
  };
}
