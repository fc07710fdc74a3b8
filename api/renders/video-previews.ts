import { FarmError } from '../../shared/errors/farm-error.ts';
import { Patience } from '../../shared/process/patience.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { type FrameRate, frameMs } from '../../shared/sound/frame-rate.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { videoFrames } from './video-frames.ts';

/** A client that takes no frame for so long has left, whatever its connection says. */
const TAKEN_WITHIN_MS = 30_000;
/** One that takes them at less than half the speed at which they are shown is too slow to follow. */
const SLOWEST_SPEED = 0.5;

/** Which frames of a video file to show: from `first` on, up to `count`, which is how many it has. */
export interface VideoRange {
  readonly first: number;
  readonly count: number;
  /** Frames a second; 25 when absent. */
  readonly frameRate?: FrameRate;
}

/** Has the video on this machine, until it is disposed of. */
export type LocateVideo = (signal: AbortSignal) => Promise<{ readonly path: string } & AsyncDisposable>;

/** Finished videos that are being shown: one ffmpeg each, of which there is a bounded number in this process. */
export class VideoPreviews {
  readonly #most: number;
  readonly #takenWithinMs: number;
  #open = 0;

  /** @param most that may be shown at the same time. */
  constructor(most: number, takenWithinMs = TAKEN_WITHIN_MS) {
    this.#most = most;
    this.#takenWithinMs = takenWithinMs;
  }

  /**
   * The frames of a video as JPEGs, decoded as they are asked for. The place and ffmpeg are given up when the last frame
   * was taken, the reader leaves the loop, `signal` is aborted, or no frame was taken for half a minute.
   * FarmError: previews_full at once; request_timed_out, deadline_exceeded, and those of `videoFrames` from the frames.
   */
  open(locate: LocateVideo, range: VideoRange, signal: AbortSignal): AsyncGenerator<Buffer> {
    signal.throwIfAborted();
    if (this.#open >= this.#most) {
      throw new FarmError('previews_full', `${this.#open} finished videos are shown here; there may be ${this.#most}`);
    }
    this.#open++;
    const ended = new AbortController();
    const stop = AbortSignal.any([signal, ended.signal]);
    const frames = this.#frames(locate, range, stop, ended);
    // Not in the generator: one that is never read from, or no more, runs no `finally`.
    stop.addEventListener('abort', () => this.#open--, { once: true });
    const drop = () => frames.return(undefined).catch(ignored('the reader has gone'));
    signal.addEventListener('abort', drop, { once: true });
    return frames;
  }

  async *#frames(
    locate: LocateVideo,
    range: VideoRange,
    signal: AbortSignal,
    ended: AbortController,
  ): AsyncGenerator<Buffer> {
    const seconds = this.#takenWithinMs / 1000;
    const left = new FarmError('request_timed_out', `No picture was taken for ${seconds} s`);
    const shownMs = (range.count - range.first) * frameMs(range.frameRate);
    const limits = { signal, timeoutMs: shownMs / SLOWEST_SPEED + MINUTE_MS };
    try {
      await using video = await locate(signal);
      for await (const jpeg of videoFrames(video.path, range, limits)) {
        const patience = new Patience(this.#takenWithinMs, () => ended.abort(left));
        try {
          yield jpeg;
        } finally {
          patience.stop();
        }
        // Frames that ffmpeg gave before it was stopped may still be waiting.
        signal.throwIfAborted();
      }
    } finally {
      ended.abort();
    }
  }
}
