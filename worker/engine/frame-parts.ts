import type { PreparedPicture } from '../compositor/contract.ts';
import { planeLayout } from '../compositor/planes.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { MouthFrame } from '../pipeline/contract.ts';
import type { FrameOutput } from './compositor-protocol.ts';
import type { HeldFrame } from './frame-line.ts';
import { MemoryPool } from './memory-pool.ts';

/** Adds to a mouth what its frame is made from in its output. */
export type CompleteFrame = (frame: MouthFrame<PreparedPicture>) => HeldFrame | Promise<HeldFrame>;

/** Frames of a video on their way: one that ffmpeg reads, and others that wait while the network runs. */
const PLANES_IN_FLIGHT = 4;

/**
 * How frames of an output are completed. A JPEG of the quality that the pictures are prepared for needs nothing more; a
 * video needs the planes of the background, and everything else its pixels.
 * @param signal ends the wait for memory.
 */
export function completing(output: FrameOutput, model: LoadedModel, signal: AbortSignal): CompleteFrame {
  if (output.kind === 'mp4') return withPlanes(model, signal);
  return jpegQualityOf(output) === model.prepared.quality ? toHeldFrame : withBackground(model);
}

function jpegQualityOf(output: Exclude<FrameOutput, { kind: 'mp4' }>): number | undefined {
  if (output.kind === 'frames') return output.jpegQuality;
  return output.form.kind === 'jpeg' ? output.form.quality : undefined;
}

function withBackground({ avatar }: LoadedModel): CompleteFrame {
  return async (frame) => {
    try {
      return { ...toHeldFrame(frame), background: await avatar.background(frame.pictureIndex) };
    } catch (error) {
      frame.memory.release();
      throw error;
    }
  };
}

function withPlanes({ prepared }: LoadedModel, signal: AbortSignal): CompleteFrame {
  const pool = new MemoryPool(planeLayout(prepared).byteLength, PLANES_IN_FLIGHT);
  return async (frame) => {
    const held = [frame.memory];
    try {
      const planes = await pool.take(signal);
      held.push(planes);
      await prepared.planes(frame.pictureIndex, planes.bytes);
      return { ...toHeldFrame(frame), planes: planes.bytes, memories: held };
    } catch (error) {
      for (const memory of held) memory.release();
      throw error;
    }
  };
}

function toHeldFrame({ frameIndex, mouth, memory, picture }: MouthFrame<PreparedPicture>): HeldFrame {
  return { frameIndex, mouth, picture, memories: [memory] };
}
