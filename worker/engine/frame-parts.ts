import { freeNow } from '../../shared/process/free-now.ts';
import type { PreparedPicture } from '../compositor/contract.ts';
import { alphaBytes, planeLayout } from '../compositor/planes.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { HeldMemory, MouthFrame, RgbImage } from '../pipeline/contract.ts';
import { type FrameOutput, isVideoOutput, type SegmentVideoOutput } from './compositor-protocol.ts';
import type { Held, HeldFrame } from './frame-line.ts';
import type { LastingPools } from './memory-pool.ts';

/** Adds to a mouth what its frame is made from in its output. */
export type CompleteFrame = (frame: MouthFrame<PreparedPicture>) => HeldFrame | Promise<HeldFrame>;

/** The pictures that frames are put together from. */
type SegmentPictures = Pick<LoadedModel, 'avatar' | 'prepared' | 'idle'>;

/** Frames of a video on their way: one that ffmpeg reads, and others that wait while the network runs. */
const PLANES_IN_FLIGHT = 4;
/** Whole backgrounds on their way, of all tasks that share the pools: the compositor has read each within milliseconds. */
const PICTURES_IN_FLIGHT = 3;
const RGB_CHANNELS = 3;

/**
 * How frames of an output are completed. A JPEG of the quality that the pictures are prepared for needs nothing more; a
 * video needs the planes of the background, and everything else its pixels; alpha goes with either where it is kept.
 * @param pools that the memory of whole pictures comes from.
 * @param signal ends the wait for it.
 */
export function completing(
  output: FrameOutput,
  model: SegmentPictures,
  pools: LastingPools,
  signal: AbortSignal,
): CompleteFrame {
  const hasAlpha = output.kind !== 'live' && output.hasAlpha === true;
  if (isVideoOutput(output)) return withPlanes(model, pools, signal, hasAlpha);
  return jpegQualityOf(output) === model.prepared.quality
    ? (frame) => toHeldFrame(frame, model)
    : withBackground(model, pools, signal, hasAlpha);
}

function jpegQualityOf(output: Exclude<FrameOutput, SegmentVideoOutput>): number | undefined {
  if (output.kind !== 'live') return output.kind === 'frames' ? output.jpegQuality : undefined;
  return output.form.kind === 'jpeg' ? output.form.quality : undefined;
}

function withBackground(
  pictures: SegmentPictures,
  pools: LastingPools,
  signal: AbortSignal,
  hasAlpha: boolean,
): CompleteFrame {
  const { avatar } = pictures;
  const { width, height } = avatar;
  const pixelBytes = width * height * RGB_CHANNELS;
  const pool = pools.of('pictures', pixelBytes + (hasAlpha ? alphaBytes(avatar) : 0), PICTURES_IN_FLIGHT);
  return async (frame) =>
    await completed(frame, pictures, pool.take(signal), async ({ bytes }) => {
      const { data: decoded } = await pixelsOf(frame, pictures);
      const data = bytes.subarray(0, pixelBytes);
      data.set(decoded);
      freeNow(decoded);
      const background = { width, height, data };
      if (!hasAlpha) return { background };
      const alpha = bytes.subarray(pixelBytes);
      await readAlpha(frame, pictures, alpha);
      return { background, alpha };
    });
}

function withPlanes(
  pictures: SegmentPictures,
  pools: LastingPools,
  signal: AbortSignal,
  hasAlpha: boolean,
): CompleteFrame {
  const { prepared, idle } = pictures;
  const { byteLength } = planeLayout(prepared);
  const pool = pools.of('planes', byteLength + (hasAlpha ? alphaBytes(prepared) : 0), PLANES_IN_FLIGHT);
  return async (frame) =>
    await completed(frame, pictures, pool.take(signal), async ({ bytes }) => {
      const planes = bytes.subarray(0, byteLength);
      if (frame.idle && idle) await idle.planes(frame.picture, frame.idle, planes);
      else await prepared.planes(frame.pictureIndex, planes);
      if (hasAlpha) await readAlpha(frame, pictures, bytes.subarray(byteLength));
      return { planes: bytes };
    });
}

/** The pixels of what a frame shows, without a mouth. */
async function pixelsOf(frame: MouthFrame<PreparedPicture>, pictures: SegmentPictures): Promise<RgbImage> {
  const { pictureIndex, picture } = frame;
  const { avatar, prepared, idle } = pictures;
  if (frame.idle && idle) return await idle.pixels(picture, frame.idle);
  return await (prepared.hasBackdrop ? prepared.inFront(pictureIndex) : avatar.background(pictureIndex));
}

async function readAlpha(
  frame: MouthFrame<PreparedPicture>,
  { prepared, idle }: SegmentPictures,
  into: Uint8Array,
): Promise<void> {
  if (frame.idle && idle) await idle.alpha(frame.picture, frame.idle, into);
  else await prepared.alpha(frame.pictureIndex, into);
}

/** Adds what `fill` writes to memory, once there is some; lets all memory go when that fails. */
async function completed(
  frame: MouthFrame<PreparedPicture>,
  pictures: SegmentPictures,
  taken: Promise<HeldMemory>,
  fill: (memory: HeldMemory) => Promise<Pick<HeldFrame, 'background' | 'planes' | 'alpha'>>,
): Promise<HeldFrame> {
  const held = toHeldFrame(frame, pictures);
  const memories: Held[] = [...held.memories];
  try {
    const memory = await taken;
    memories.push(memory);
    return { ...held, ...(await fill(memory)), memories };
  } catch (error) {
    for (const each of memories) each.release();
    throw error;
  }
}

function toHeldFrame(
  { frameIndex, mouth, memory, picture }: MouthFrame<PreparedPicture>,
  { prepared }: SegmentPictures,
): HeldFrame {
  const ofPicture = { release: () => prepared.giveBack(picture) };
  return { frameIndex, mouth, picture, memories: [memory, ofPicture] };
}
