import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import { type FrameRate, frameMs } from '../../shared/sound/frame-rate.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Caller } from '../access/caller.ts';
import { Pace } from './pace.ts';
import type { RenderService } from './renders.ts';
import type { VideoPreviews } from './video-previews.ts';

/** A frame of a render that is watched. */
export interface RenderPicture {
  readonly frameIndex: number;
  /** When it is shown, from the beginning of the whole sound. */
  readonly timeMs: number;
  /** A JPEG, or a PNG of a render to PNG frames. */
  readonly data: Buffer;
  readonly contentType: 'image/jpeg' | 'image/png';
  /** Frames right before it that are not shown. */
  readonly skippedFrames: number;
}

/** How often it is looked for a frame that is not there yet. */
const LOOK_EVERY_MS = 250;

/** What is asked of a watched render. */
export interface Watching {
  /** First frame to show; undefined: the first one of the render. */
  readonly from: number | undefined;
  readonly caller: Caller;
}

export interface WatchTools {
  readonly renders: RenderService;
  readonly videos: VideoPreviews;
}

/**
 * The pictures of a render from a frame on, until it has ended: every frame of a render to frames and of a finished video,
 * as many a second as it has at most; of a video that is being made, the latest pictures. One picture is in memory at a
 * time.
 * FarmError: render_unknown, render_failed, render_cancelled; previews_full, and those of ffmpeg, for a finished video.
 */
export async function watchPictures(
  tools: WatchTools,
  renderId: string,
  watching: Watching,
  signal: AbortSignal,
): Promise<AsyncIterable<RenderPicture>> {
  const view = await tools.renders.get(renderId, watching.caller);
  if (!isVideo(view.output)) return frames(tools, view, watching, signal);
  if (view.status === 'completed') return await video(tools, view, watching, signal);
  return latest(tools, view, watching, signal);
}

async function* frames(
  { renders }: WatchTools,
  { id, range, output, fps }: RenderView,
  { from = 0, caller }: Watching,
  signal: AbortSignal,
): AsyncGenerator<RenderPicture> {
  const contentType = output === 'png-frames' ? 'image/png' : 'image/jpeg';
  const pace = new Pace(fps, signal);
  for (let frameIndex = Math.max(from, range?.from ?? 0); !signal.aborted; ) {
    const file = await renders.frame(id, frameIndex, caller).catch(noneYet);
    if (file === 'end') return;
    if (file) {
      const data = await buffer(file.read());
      yield { frameIndex, timeMs: frameIndex * frameMs(fps), data, contentType, skippedFrames: 0 };
      frameIndex++;
      await pace.next();
    } else await delay(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Undefined for a frame that is to come, 'end' behind the last one. */
function noneYet(error: unknown): undefined | 'end' {
  const { code } = FarmError.from(error);
  if (code === 'render_not_finished') return undefined;
  if (code === 'frame_unknown') return 'end';
  throw error;
}

/** Resolves when the first frame is there: what is wrong with ffmpeg or the file is known then. */
async function video(
  { renders, videos }: WatchTools,
  { id, range, frames, fps }: RenderView,
  { from = 0, caller }: Watching,
  signal: AbortSignal,
): Promise<AsyncIterable<RenderPicture>> {
  const start = range?.from ?? 0;
  const first = Math.max(from - start, 0);
  const file = await renders.video(id, caller);
  const count = frames.total ?? 0;
  if (first >= count) return numbered([], { first: from, fps }, signal);
  const jpegs = videos.open(file.onDisk, { first, count, frameRate: fps }, signal);
  const head = await jpegs.next();
  return numbered(head.done ? [] : startingWith(head.value, jpegs), { first: start + first, fps }, signal);
}

async function* startingWith(head: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  yield* rest;
}

async function* numbered(
  jpegs: AsyncIterable<Buffer> | Iterable<Buffer>,
  { first, fps }: { readonly first: number; readonly fps: FrameRate },
  signal: AbortSignal,
): AsyncGenerator<RenderPicture> {
  const pace = new Pace(fps, signal);
  let frameIndex = first;
  for await (const data of jpegs) {
    yield { frameIndex, timeMs: frameIndex * frameMs(fps), data, contentType: 'image/jpeg', skippedFrames: 0 };
    frameIndex++;
    await pace.next();
  }
}

/** A picture of several segments that are rendered at once is left out when a later one was shown. */
async function* latest(
  { renders }: WatchTools,
  { id, range }: RenderView,
  { from = 0, caller }: Watching,
  signal: AbortSignal,
): AsyncGenerator<RenderPicture> {
  let next = Math.max(from, range?.from ?? 0);
  for await (const { view, preview } of renders.watch(id, { preview: true, caller }, signal)) {
    // Of a worker of an earlier version: how far the render was when the picture came.
    const { frameIndex = (range?.from ?? 0) + Math.max(view.frames.done - 1, 0), jpeg } = preview ?? {};
    if (jpeg && frameIndex >= next) {
      const timeMs = frameIndex * frameMs(view.fps);
      yield { frameIndex, timeMs, data: jpeg, contentType: 'image/jpeg', skippedFrames: frameIndex - next };
      next = frameIndex + 1;
    }
    if (isTerminal(view.status)) return;
  }
}
