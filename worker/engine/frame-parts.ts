import { freeNow } from '../../shared/process/free-now.ts';
import type { PreparedPicture } from '../compositor/contract.ts';
import { planeLayout } from '../compositor/planes.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { HeldMemory, MouthFrame } from '../pipeline/contract.ts';
import type { FrameOutput } from './compositor-protocol.ts';
import type { HeldFrame } from './frame-line.ts';
import type { LastingPools } from './memory-pool.ts';

/** Adds to a mouth what its frame is made from in its output. */
export type CompleteFrame = (frame: MouthFrame<PreparedPicture>) => HeldFrame | Promise<HeldFrame>;

/** Frames of a video on their way: one that ffmpeg reads, and others that wait while the network runs. */
const PLANES_IN_FLIGHT = 4;
/** Whole backgrounds on their way, of all tasks that share the pools: the compositor has read each within milliseconds. */
const PICTURES_IN_FLIGHT = 3;
const RGB_CHANNELS = 3;

/**
 * How frames of an output are completed. A JPEG of the quality that the pictures are prepared for needs nothing more; a
 * video needs the planes of the background, and everything else its pixels.
 * @param pools that the memory of whole pictures comes from.
 * @param signal ends the wait for it.
 */
export function completing(
  output: FrameOutput,
  model: Pick<LoadedModel, 'avatar' | 'prepared'>,
  pools: LastingPools,
  signal: AbortSignal,
): CompleteFrame {
  if (output.kind === 'mp4') return withPlanes(model, pools, signal);
  return jpegQualityOf(output) === model.prepared.quality ? toHeldFrame : withBackground(model, pools, signal);
}

function jpegQualityOf(output: Exclude<FrameOutput, { kind: 'mp4' }>): number | undefined {
  if (output.kind === 'frames') return output.jpegQuality;
  return output.form.kind === 'jpeg' ? output.form.quality : undefined;
}

function withBackground(
  { avatar }: Pick<LoadedModel, 'avatar'>,
  pools: LastingPools,
  signal: AbortSignal,
): CompleteFrame {
  const { width, height } = avatar;
  const pool = pools.of('pictures', width * height * RGB_CHANNELS, PICTURES_IN_FLIGHT);
  return async (frame) =>
    await completed(frame, await holding(frame.memory, pool.take(signal)), async ({ bytes: data }) => {
      const { data: decoded } = await avatar.background(frame.pictureIndex);
      data.set(decoded);
      freeNow(decoded);
      return { background: { width, height, data } };
    });
}

function withPlanes(
  { prepared }: Pick<LoadedModel, 'prepared'>,
  pools: LastingPools,
  signal: AbortSignal,
): CompleteFrame {
  const pool = pools.of('planes', planeLayout(prepared).byteLength, PLANES_IN_FLIGHT);
  return async (frame) =>
    await completed(frame, await holding(frame.memory, pool.take(signal)), async ({ bytes }) => {
      await prepared.planes(frame.pictureIndex, bytes);
      return { planes: bytes };
    });
}

/** Waits for memory; lets what is held already go when none comes. */
async function holding(held: HeldMemory, taken: Promise<HeldMemory>): Promise<HeldMemory> {
  try {
    return await taken;
  } catch (error) {
    held.release();
    throw error;
  }
}

/** Adds what `fill` has written to the memory; lets all memory go when that fails. */
async function completed(
  frame: MouthFrame<PreparedPicture>,
  memory: HeldMemory,
  fill: (memory: HeldMemory) => Promise<Pick<HeldFrame, 'background' | 'planes'>>,
): Promise<HeldFrame> {
  const memories = [frame.memory, memory];
  try {
    return { ...toHeldFrame(frame), ...(await fill(memory)), memories };
  } catch (error) {
    for (const each of memories) each.release();
    throw error;
  }
}

function toHeldFrame({ frameIndex, mouth, memory, picture }: MouthFrame<PreparedPicture>): HeldFrame {
  return { frameIndex, mouth, picture, memories: [memory] };
}
