import type { PreparedPicture } from '../compositor/contract.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { MouthFrame } from '../pipeline/contract.ts';
import type { FrameOutput } from './compositor-protocol.ts';
import type { HeldFrame } from './frame-line.ts';

/** Adds to a mouth what its frame is made from in its output. */
export type CompleteFrame = (frame: MouthFrame<PreparedPicture>) => HeldFrame | Promise<HeldFrame>;

/**
 * How frames of an output are completed. A JPEG of the quality that the pictures are prepared for needs no more than
 * these; everything else needs the pixels of the background.
 */
export function completing(output: FrameOutput, { avatar, prepared }: LoadedModel): CompleteFrame {
  if (jpegQualityOf(output) === prepared.quality) return toHeldFrame;
  return async (frame) => {
    try {
      return { ...toHeldFrame(frame), background: await avatar.background(frame.pictureIndex) };
    } catch (error) {
      frame.memory.release();
      throw error;
    }
  };
}

function jpegQualityOf(output: FrameOutput): number | undefined {
  if (output.kind === 'frames') return output.jpegQuality;
  return output.kind === 'live' && output.form.kind === 'jpeg' ? output.form.quality : undefined;
}

function toHeldFrame({ frameIndex, mouth, memory, picture }: MouthFrame<PreparedPicture>): HeldFrame {
  return { frameIndex, mouth, memory, picture };
}
