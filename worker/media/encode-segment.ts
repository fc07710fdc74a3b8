import { ignored } from '../../shared/process/unheard.ts';
import type { VideoOutput } from '../../shared/renders/outputs.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { HOUR_MS } from '../../shared/units.ts';
import { type FedCommand, FfmpegFeed } from '../tools/ffmpeg-feed.ts';

export interface VideoSettings {
  /** `mp4`, the default: H.264. `webm`: VP9. */
  readonly kind?: VideoOutput;
  /** Of x264's scale, 1 to 51; VP9 gets the same share of its own. */
  readonly crf: number;
  /** Of x264. */
  readonly preset: string;
  /** Whether a plane of alpha comes behind those of YUV; for VP9 only. */
  readonly hasAlpha?: boolean;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
}

/** Picture group length: a player can seek to every other second. */
const GOP_SECONDS = 2;
/** x264's output depends on its thread count, so it is the same on every machine. */
const X264_THREADS = 2;
const VP9_THREADS = 2;
/** The largest CRF of x264 and of VP9. */
const [X264_WORST, VP9_WORST] = [51, 63];
const ENCODE_TIMEOUT_MS = HOUR_MS;

/**
 * Planes on standard input → H.264 in MP4, or VP9 in WebM. Every segment starts with a key frame and refers to nothing outside itself
 * (closed GOP), and has no B-frames: joined segments need no shift of their time stamps.
 */
function encodeCommand(
  planes: { readonly width: number; readonly height: number },
  settings: VideoSettings,
  outputPath: string,
): FedCommand {
  const { frameRate = USUAL_FRAME_RATE } = settings;
  const pixels = settings.hasAlpha ? 'yuva420p' : 'yuv420p';
  return {
    inputOptions: [
      ...['-f', 'rawvideo', '-pix_fmt', pixels, '-video_size', `${planes.width}x${planes.height}`],
      ...['-framerate', String(frameRate)],
    ],
    outputOptions: [
      // What the planes are, and what players assume for pictures of this size.
      ...['-color_primaries', 'bt709', '-color_trc', 'bt709', '-colorspace', 'bt709', '-color_range', 'tv'],
      ...(settings.kind === 'webm' ? vp9Options(settings) : x264Options(settings)),
      ...['-g', String(GOP_SECONDS * frameRate), '-fflags', '+bitexact', '-f', settings.kind ?? 'mp4'],
    ],
    outputPath,
  };
}

function x264Options({ preset, crf }: VideoSettings): string[] {
  const encoder = ['-c:v', 'libx264', '-preset', preset, '-crf', String(crf), '-threads', String(X264_THREADS)];
  return [...encoder, '-bf', '0', '-flags', '+cgop+bitexact'];
}

/**
 * Without frames that are looked at ahead, or shown never: alpha allows none of them, and each packet is one picture.
 * Rows are not encoded side by side, so the bytes depend on no thread's speed. `good` takes ten times as long for a file
 * that is a third smaller.
 */
function vp9Options({ crf }: VideoSettings): string[] {
  const vp9Crf = Math.round((crf * VP9_WORST) / X264_WORST);
  return [
    ...['-c:v', 'libvpx-vp9', '-crf', String(vp9Crf), '-b:v', '0', '-deadline', 'realtime', '-cpu-used', '6'],
    ...['-auto-alt-ref', '0', '-lag-in-frames', '0', '-row-mt', '0', '-tile-columns', '0', '-frame-parallel', '0'],
    ...['-threads', String(VP9_THREADS), '-flags', '+bitexact'],
  ];
}

/** One segment being encoded: planes in with back-pressure, a file out. */
export class SegmentEncoder {
  readonly #feed: FfmpegFeed;
  readonly #abandoned = new AbortController();

  /** @param planes columns and rows of Y, both even. */
  constructor(
    planes: { readonly width: number; readonly height: number },
    settings: VideoSettings,
    outputPath: string,
    signal: AbortSignal,
  ) {
    const stop = AbortSignal.any([signal, this.#abandoned.signal]);
    const command = encodeCommand(planes, settings, outputPath);
    this.#feed = new FfmpegFeed(command, { signal: stop, timeoutMs: ENCODE_TIMEOUT_MS });
  }

  /**
   * Takes a frame: Y, U and V as `planeLayout` lays them out, then alpha if there is any. Resolves when ffmpeg has read all of it and the memory may
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
