import { FarmError } from '../../shared/errors/farm-error.ts';
import { type FrameRate, frameMs } from '../../shared/sound/frame-rate.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import type { ToolLimits } from '../../shared/tools/tool-watch.ts';

/** The frames of a video file as JPEGs, which ffmpeg decodes as they are asked for. */

/** Of ffmpeg's scale from 2, the best, to 31: what the eye sees of the video is kept. */
const JPEG_SCALE = 3;
const HEAD_END = '\r\n\r\n';

/** Where in a file to begin. */
export interface VideoPlace {
  /** Its first frame to show, from 0. */
  readonly first: number;
  /** Frames a second; 25 when absent. */
  readonly frameRate?: FrameRate;
}

/**
 * Frames in order, each a JPEG of the video's own size. While nobody asks for the next one, ffmpeg waits: it is ahead by
 * what fits into a pipe. One thread each for decoding and encoding. Leaving the loop kills ffmpeg.
 * FarmError: those of `outputOf`.
 */
export function videoFrames(path: string, from: VideoPlace, limits: ToolLimits): AsyncGenerator<Buffer> {
  return partsOf(outputOf('ffmpeg', frameArguments(path, from), limits));
}

/** A part with its length before each picture: no byte of a picture has to be looked at to find its end. */
function frameArguments(path: string, { first, frameRate }: VideoPlace): string[] {
  // A little earlier than its time, so that no rounding loses it; half a frame earlier it would come twice.
  const seek = first === 0 ? [] : ['-ss', (((first - 0.25) * frameMs(frameRate)) / 1000).toFixed(3)];
  const input = ['-v', 'error', '-threads', '1', ...seek, '-i', path, '-map', '0:v:0'];
  return [...input, '-threads', '1', '-c:v', 'mjpeg', '-q:v', `${JPEG_SCALE}`, '-f', 'mpjpeg', 'pipe:1'];
}

async function* partsOf(output: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let size = 0;
  /** Nothing is complete before there are so many bytes. */
  let wanted = 0;
  for await (const piece of output) {
    pieces.push(piece);
    size += piece.length;
    if (size < wanted) continue;
    let bytes = Buffer.concat(pieces, size);
    let picture = firstPictureOf(bytes);
    for (; picture && picture.end <= bytes.length; picture = firstPictureOf(bytes)) {
      yield bytes.subarray(picture.start, picture.end);
      bytes = bytes.subarray(picture.end);
    }
    pieces = [bytes];
    size = bytes.length;
    wanted = picture?.end ?? 0;
  }
}

/** Where it lies; undefined while its length is not there yet. */
function firstPictureOf(bytes: Buffer): { readonly start: number; readonly end: number } | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const [, length] = /content-length: (\d+)/i.exec(bytes.toString('latin1', 0, headEnd)) ?? [];
  if (length === undefined) throw new FarmError('internal', 'ffmpeg gave a picture without its length');
  const start = headEnd + HEAD_END.length;
  return { start, end: start + Number(length) };
}
