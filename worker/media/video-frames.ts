import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { FfmpegCommand } from '../tools/ffmpeg.ts';
import { UPLOAD_INPUT_OPTIONS } from './upload-input.ts';

/** How a picture of a video is written to a file: JPEG at mjpeg's best quality, or PNG without any loss. */
export type PictureFormat = 'jpg' | 'png';

/** Names of extracted pictures, in the form that ffmpeg numbers by. */
const NAME_PATTERN = 'frame_%06d';
/**
 * JPEG is full-range BT.601 by definition (JFIF), video of this size usually narrow BT.709. The chroma of nearly every
 * video has half the resolution anyway, so a JPEG that does the same loses none of it.
 */
const JPEG_FILTER =
  'scale=out_color_matrix=bt601:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int,format=yuvj420p';
const PNG_FILTER = 'scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24';

/**
 * The pictures of a video as numbered files, frame_000000 and up.
 * A video of `rate` frames a second gives each of its pictures once; any other is brought to that by leaving out or
 * repeating pictures, since the avatar is played at that rate and its head must move at its real speed.
 * @param folder exists, and receives the pictures.
 * @param frameLimit pictures at most; all when absent.
 * @param rate pictures a second.
 */
export function videoFramesCommand(
  videoPath: string,
  folder: string,
  format: PictureFormat,
  frameLimit?: number,
  rate: FrameRate = USUAL_FRAME_RATE,
): FfmpegCommand {
  const [filter, quality] =
    // All pictures get the same Huffman tables, so code that works on the coded pictures needs only one set.
    format === 'jpg' ? [JPEG_FILTER, ['-q:v', '1', '-qmin', '1', '-huffman', 'default']] : [PNG_FILTER, []];
  return {
    inputs: [{ source: videoPath, options: [...UPLOAD_INPUT_OPTIONS, '-xerror'] }],
    outputOptions: [
      ...['-map', '0:v:0', '-an', '-sn', '-dn'],
      ...['-vf', `fps=${rate},${filter}`],
      ...quality,
      ...(frameLimit === undefined ? [] : ['-frames:v', String(frameLimit)]),
      ...['-f', 'image2', '-start_number', '0'],
    ],
    // A percent sign in the folder's path must be doubled, or ffmpeg would read it as a number's place.
    outputPath: `${folder.replaceAll('%', '%%')}/${NAME_PATTERN}.${format}`,
  };
}
