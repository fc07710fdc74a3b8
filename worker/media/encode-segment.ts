import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { ignored } from '../../shared/process/unheard.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import { HOUR_MS } from '../../shared/units.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import { type FfmpegCommand, runFfmpeg } from '../tools/ffmpeg.ts';

export interface H264Settings {
  readonly crf: number;
  readonly preset: string;
}

/** Picture group length: a player can seek to every other second. */
const GOP_FRAMES = 2 * FRAMES_PER_SECOND;
/** x264's output depends on its thread count, so it is the same on every machine. */
const X264_THREADS = 2;
const ENCODE_TIMEOUT_MS = HOUR_MS;

/**
 * Raw RGB frames on standard input → H.264 in MP4. Every segment starts with an IDR frame and refers to nothing outside
 * itself (closed GOP), and has no B-frames: joined segments need no shift of their time stamps.
 */
function encodeCommand(
  frames: PassThrough,
  picture: { width: number; height: number },
  settings: H264Settings,
  outputPath: string,
): FfmpegCommand {
  return {
    inputs: [
      {
        source: frames,
        options: [
          ...['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-video_size', `${picture.width}x${picture.height}`],
          ...['-framerate', String(FRAMES_PER_SECOND)],
        ],
      },
    ],
    outputOptions: [
      // yuv420p needs even sides; BT.709 is what players assume for pictures of this size.
      ...['-vf', 'pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p'],
      ...['-sws_flags', 'bicubic+accurate_rnd+full_chroma_int+bitexact'],
      ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
      ...[
        '-c:v',
        'libx264',
        '-preset',
        settings.preset,
        '-crf',
        String(settings.crf),
        '-threads',
        String(X264_THREADS),
      ],
      ...['-bf', '0', '-g', String(GOP_FRAMES), '-flags', '+cgop+bitexact', '-fflags', '+bitexact'],
      ...['-f', 'mp4'],
    ],
    outputPath,
  };
}

/** One segment being encoded: frames in with back-pressure, a file out. */
export class SegmentEncoder {
  readonly #frames = new PassThrough();
  readonly #abandoned = new AbortController();
  readonly #finished: Promise<void>;

  constructor(
    picture: { width: number; height: number },
    settings: H264Settings,
    outputPath: string,
    signal: AbortSignal,
  ) {
    const command = encodeCommand(this.#frames, picture, settings, outputPath);
    const stop = AbortSignal.any([signal, this.#abandoned.signal]);
    const waitsForUs = () => !this.#frames.writableNeedDrain && !this.#frames.writableEnded;
    this.#finished = runFfmpeg(command, { signal: stop, timeoutMs: ENCODE_TIMEOUT_MS, waitsForUs });
    this.#finished.catch(ignored('the next write or finish reports it'));
  }

  /** Takes a frame; `image.data` must not change afterwards. Waits while ffmpeg is behind. */
  async write(image: RgbImage): Promise<void> {
    if (this.#frames.write(image.data)) return;
    await Promise.race([once(this.#frames, 'drain'), this.#finished]);
  }

  /** Resolves when the file is complete. */
  async finish(): Promise<void> {
    this.#frames.end();
    await this.#finished;
  }

  /** Ends ffmpeg and waits for that; does nothing after `finish`. */
  async abandon(): Promise<void> {
    this.#abandoned.abort();
    await this.#finished.catch(ignored('it fails because it was abandoned'));
  }
}
