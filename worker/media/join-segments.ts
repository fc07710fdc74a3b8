import type { FfmpegCommand } from '../tools/ffmpeg.ts';

/** The list that ffmpeg's concat demuxer reads; the segments lie beside it. */
export function segmentList(fileNames: readonly string[]): string {
  return ['ffconcat version 1.0', ...fileNames.map((name) => `file ${name}`), ''].join('\n');
}

/** Joins the segments and the sound, without encoding any of them again. */
export function joinCommand(listPath: string, soundtrackPath: string, outputPath: string): FfmpegCommand {
  return {
    inputs: [
      { source: listPath, options: ['-nostdin', '-f', 'concat', '-safe', '1'] },
      { source: soundtrackPath, options: ['-f', 'mov'] },
    ],
    outputOptions: [
      ...['-map', '0:v:0', '-map', '1:a:0', '-c', 'copy'],
      ...['-map_metadata', '-1', '-flags', '+bitexact', '-fflags', '+bitexact', '-movflags', '+faststart', '-f', 'mp4'],
    ],
    outputPath,
  };
}
