import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { endsWithVideo } from '../../shared/renders/footage.ts';
import { cutRange } from '../../shared/renders/frame-range.ts';
import { framesOf, type RenderPlan, type RenderRequest } from '../../shared/renders/record.ts';
import { frameCount, samplesPerFrame, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
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
 * @param range frames that are wanted, of `frameRate` a second; what lies behind the end of the sound is left out.
 * @throws FarmError `request_invalid` when the range begins there.
 */
export function planRender(
  sampleCount: number,
  settings: Config['render'],
  { range, frameRate }: Pick<RenderRequest, 'range' | 'frameRate'> = {},
): Omit<RenderPlan, 'segmentGpus'> {
  return {
    sampleCount,
    ...cutRange(frameCount(sampleCount, frameRate), range),
    segmentFrames: settings.segment_frames,
    batchFrames: settings.batch_frames,
    encoderBatchWindows: settings.encoder_batch_windows,
    h264Crf: settings.h264_crf,
    h264Preset: settings.h264_preset,
  };
}

/**
 * How long the sound of a render must be, in samples; what it lacks is silence.
 * @param pictures of its own footage, one a frame.
 */
export function leastSamples(
  { footage, frameRate }: Pick<RenderRequest, 'footage' | 'frameRate'>,
  pictures = 0,
): number {
  return footage?.syncMode === 'silence' ? pictures * samplesPerFrame(frameRate) : 0;
}

/**
 * The frames that are wanted: those of the request, and none behind the end of footage that ends the render.
 * @throws FarmError `request_invalid` when the range begins there.
 */
export function rangeOf(
  { footage, range, frameRate = USUAL_FRAME_RATE }: Pick<RenderRequest, 'footage' | 'range' | 'frameRate'>,
  sampleCount: number,
  pictures?: number,
): RenderRequest['range'] {
  if (!footage || pictures === undefined || !endsWithVideo(footage.syncMode)) return range;
  if (pictures >= frameCount(sampleCount, frameRate)) return range;
  const { from = 0, to = pictures } = range ?? {};
  if (from < pictures) return { from, to: Math.min(to, pictures) };
  const text = `The range begins at frame ${from}, and the video has frames 0 to ${pictures - 1}`;
  throw new FarmError('request_invalid', text);
}
