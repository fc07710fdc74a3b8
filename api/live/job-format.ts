import {
  FIFTH_LIVE_FORMAT,
  FOURTH_LIVE_FORMAT,
  GATE_FORMAT,
  IDLE_FORMAT,
  type LiveJob,
  SECOND_LIVE_FORMAT,
  THIRD_LIVE_FORMAT,
} from '../../shared/jobs/jobs.ts';
import type { VisualForm } from '../../shared/live/visual-frames.ts';

/** The lowest format that has all that a live job says, so that workers of earlier versions take what they understand. */
export function liveFormat(
  work: Pick<LiveJob, 'idle' | 'frameRate' | 'voices' | 'backgroundMode' | 'mouths' | 'direct'>,
  visualForm: VisualForm,
): Pick<LiveJob, 'format'> {
  if (work.idle) return { format: IDLE_FORMAT };
  if (work.frameRate) return { format: FIFTH_LIVE_FORMAT };
  if (work.voices) return { format: GATE_FORMAT };
  if (work.backgroundMode) return { format: FOURTH_LIVE_FORMAT };
  if (work.mouths) return { format: THIRD_LIVE_FORMAT };
  return work.direct || visualForm !== 'floats' ? { format: SECOND_LIVE_FORMAT } : {};
}
