import type { Config } from '../../shared/config/load.ts';
import type { RenderPlan } from '../../shared/renders/record.ts';
import { frameCount } from '../../shared/sound/rates.ts';
import type { IndexRange } from '../pipeline/contract.ts';

/** Frames [start, end) of each segment: all of `segmentFrames` but the last. */
export function cutSegments(frameTotal: number, segmentFrames: number): IndexRange[] {
  return Array.from({ length: Math.ceil(frameTotal / segmentFrames) }, (_, index) => ({
    start: index * segmentFrames,
    end: Math.min((index + 1) * segmentFrames, frameTotal),
  }));
}

/** The plan as it follows from a render's length and the configuration, without the GPUs of its segments. */
export function planRender(sampleCount: number, settings: Config['render']): Omit<RenderPlan, 'segmentGpus'> {
  return {
    sampleCount,
    frameCount: frameCount(sampleCount),
    segmentFrames: settings.segment_frames,
    batchFrames: settings.batch_frames,
    encoderBatchWindows: settings.encoder_batch_windows,
    h264Crf: settings.h264_crf,
    h264Preset: settings.h264_preset,
  };
}
