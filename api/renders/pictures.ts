import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../../shared/errors.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import { FRAMES_PER_SECOND } from '../../shared/sound/rates.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Caller } from '../access/caller.ts';
import type { RenderService } from './renders.ts';

/** A frame of a render that is watched. */
export interface RenderPicture {
  readonly frameIndex: number;
  readonly jpeg: Buffer;
  /** Frames right before it that are not shown. */
  readonly skippedFrames: number;
}

/** How often it is looked for a frame that is not there yet. */
const LOOK_EVERY_MS = 250;
const FRAME_MS = 1000 / FRAMES_PER_SECOND;

/** What is asked of a watched render. */
export interface Watching {
  /** First frame to show; undefined: the first one of the render. */
  readonly from: number | undefined;
  readonly caller: Caller;
}

/**
 * The pictures of a render from a frame on, until it has ended: every frame of output=frames, 25 a second at most, also
 * when it is completed; of an MP4 that is being made, the latest pictures. One picture is in memory at a time.
 * FarmError: render_unknown, render_failed, render_cancelled; output_not_kept for a completed MP4, which can be played.
 */
export async function watchPictures(
  renders: RenderService,
  renderId: string,
  watching: Watching,
  signal: AbortSignal,
): Promise<AsyncGenerator<RenderPicture>> {
  const view = await renders.get(renderId, watching.caller);
  if (view.output === 'frames') return frames(renders, view, watching, signal);
  if (view.status === 'completed') {
    throw new FarmError('output_not_kept', `Render ${renderId} is a finished MP4: its frames are in the video`);
  }
  return latest(renders, view, watching, signal);
}

async function* frames(
  renders: RenderService,
  { id, range }: RenderView,
  { from = 0, caller }: Watching,
  signal: AbortSignal,
): AsyncGenerator<RenderPicture> {
  for (let frameIndex = Math.max(from, range?.from ?? 0); !signal.aborted; ) {
    const shownAtMs = performance.now();
    const file = await renders.frame(id, frameIndex, caller).catch(noneYet);
    if (file === 'end') return;
    if (file) {
      yield { frameIndex, jpeg: await buffer(file.read()), skippedFrames: 0 };
      frameIndex++;
    }
    const waitMs = file ? FRAME_MS - (performance.now() - shownAtMs) : LOOK_EVERY_MS;
    await delay(Math.max(0, waitMs), undefined, { signal });
  }
}

/** Undefined for a frame that is to come, 'end' behind the last one. */
function noneYet(error: unknown): undefined | 'end' {
  const { code } = FarmError.from(error);
  if (code === 'render_not_finished') return undefined;
  if (code === 'frame_unknown') return 'end';
  throw error;
}

/** A picture is numbered by the frames that were done when it came. */
async function* latest(
  renders: RenderService,
  { id, range }: RenderView,
  { from = 0, caller }: Watching,
  signal: AbortSignal,
): AsyncGenerator<RenderPicture> {
  let next = Math.max(from, range?.from ?? 0);
  let last: Buffer | undefined;
  for await (const { view, preview } of renders.watch(id, { preview: true, caller }, signal)) {
    const frameIndex = (range?.from ?? 0) + Math.max(view.frames.done - 1, 0);
    if (preview && frameIndex >= next && !(last && preview.equals(last))) {
      yield { frameIndex, jpeg: preview, skippedFrames: frameIndex - next };
      next = frameIndex + 1;
      last = preview;
    }
    if (isTerminal(view.status)) return;
  }
}
