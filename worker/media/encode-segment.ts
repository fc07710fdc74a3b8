import { ignored } from '../../shared/process/unheard.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import { HOUR_MS } from '../../shared/units.ts';
import { type FedCommand, FfmpegFeed } from '../tools/ffmpeg-feed.ts';

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
 * Planes on standard input → H.264 in MP4. Every segment starts with an IDR frame and refers to nothing outside itself
 * (closed GOP), and has no B-frames: joined segments need no shift of their time stamps.
 */
function encodeCommand(
  planes: { readonly width: number; readonly height: number },
  { preset, crf }: H264Settings,
  outputPath: string,
): FedCommand {
  return {
    inputOptions: [
      ...['-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-video_size', `${planes.width}x${planes.height}`],
      ...['-framerate', String(FRAMES_PER_SECOND)],
    ],
    outputOptions: [
      // What the planes are, and what players assume for pictures of this size.
      ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
      ...['-c:v', 'libx264', '-preset', preset, '-crf', String(crf), '-threads', String(X264_THREADS)],
      ...['-bf', '0', '-g', String(GOP_FRAMES), '-flags', '+cgop+bitexact', '-fflags', '+bitexact'],
      ...['-f', 'mp4'],
    ],
    outputPath,
  };
}

/** One segment being encoded: planes in with back-pressure, a file out. */
export class SegmentEncoder {
  readonly #feed: FfmpegFeed;
  readonly #abandoned = new AbortController();

  /** @param planes columns and rows of Y, both even. */
  constructor(
    planes: { readonly width: number; readonly height: number },
    settings: H264Settings,
    outputPath: string,
    signal: AbortSignal,
  ) {
    const stop = AbortSignal.any([signal, this.#abandoned.signal]);
    const command = encodeCommand(planes, settings, outputPath);
    this.#feed = new FfmpegFeed(command, { signal: stop, timeoutMs: ENCODE_TIMEOUT_MS });
  }

  /**
   * Takes a frame: Y, U and V as `planeLayout` lays them out. Resolves when ffmpeg has read all of it and the memory may
   * be used again. The next frame may be written before that, from other memory.
   */
  async write(planes: Uint8Array): Promise<void> {
    await this.#feed.write(planes);
  }

  /** Resolves when the file is complete. */
  async finish(): Promise<void> {
    await this.#feed.end();
  }

  /** Ends ffmpeg and waits for that; does nothing after `finish`. */
  async abandon(): Promise<void> {
    this.#abandoned.abort();
    await this.#feed.end().catch(ignored('it fails because it was abandoned'));
  }
}
