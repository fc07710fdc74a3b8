import type { Config } from '../../shared/config/load.ts';
import { cutRange } from '../../shared/renders/frame-range.ts';
import { framesOf, type RenderPlan, type RenderRequest } from '../../shared/renders/record.ts';
import { frameCount } from '../../shared/sound/rates.ts';
import type { IndexRange } from '../pipeline/contract.ts';

/** Frames [start, end) of each segment: all of `segmentFrames` but the last. */
export function cutSegments(plan: Pick<RenderPlan, 'firstFrame' | 'frameCount' | 'segmentFrames'>): IndexRange[] {
  const { segmentFrames } = plan;
  const { start, end } = framesOf(plan);
  return Array.from({ length: Math.ceil((end - start) / segmentFrames) }, (_, index) => ({
    start: start + index * segmentFrames,
    end: Math.min(start + (index + 1) * segmentFrames, end),
  }));
}

/**
 * The plan as it follows from a render's length and the configuration, without the GPUs of its segments.
 * @param range frames that are wanted; what lies behind the end of the sound is left out.
 * @throws FarmError `request_invalid` when the range begins there.
 */
export function planRender(
  sampleCount: number,
  settings: Config['render'],
  range?: RenderRequest['range'],
): Omit<RenderPlan, 'segmentGpus'> {
  return {
    sampleCount,
    ...cutRange(frameCount(sampleCount), range),
    segmentFrames: settings.segment_frames,
    batchFrames: settings.batch_frames,
    encoderBatchWindows: settings.encoder_batch_windows,
    h264Crf: settings.h264_crf,
    h264Preset: settings.h264_preset,
  };
}
