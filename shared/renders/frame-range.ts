import { FarmError } from '../errors/farm-error.ts';
import type { RenderPlan, RenderRequest } from './record.ts';

/**
 * The frames that a render makes of those of the whole sound. What lies behind its end is left out.
 * FarmError('request_invalid') when the range begins there.
 */
export function cutRange(
  totalFrames: number,
  range: RenderRequest['range'],
): Pick<RenderPlan, 'firstFrame' | 'frameCount' | 'totalFrames'> {
  if (!range) return { frameCount: totalFrames };
  const { from: firstFrame, to = totalFrames } = range;
  if (firstFrame >= totalFrames) {
    const text = `The range begins at frame ${firstFrame}, and the sound has frames 0 to ${totalFrames - 1}`;
    throw new FarmError('request_invalid', text);
  }
  return { firstFrame, frameCount: Math.min(to, totalFrames) - firstFrame, totalFrames };
}
