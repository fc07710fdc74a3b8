import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderRecord } from '../../shared/renders/record.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { type PrepareTools, planInRecord } from './prepare-tools.ts';
import { soundtrackOf } from './soundtrack.ts';

/**
 * Encodes the sound of a video while its segments are rendered, so that `stitch` need not: a minute of sound takes two
 * seconds. Whatever fails here is left to `stitch`, which encodes what it does not find.
 * @throws the reason why the job is to end now.
 */
export async function encodeSoundAhead(
  { renders, artifacts }: Pick<PrepareTools, 'renders' | 'artifacts'>,
  { renderId, request }: RenderRecord,
  { signal, log }: Pick<JobContext, 'signal' | 'log'>,
): Promise<void> {
  const { output } = request;
  if (!isVideo(output)) return;
  const plan = await planInRecord(renders, renderId);
  if (!plan) return;
  try {
    await soundtrackOf(artifacts, renderId, { ...plan, frameRate: request.frameRate }, signal, output);
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ err: error }, 'the sound could not be encoded ahead; the last step of the render tries it again');
  } finally {
    await removeFilesIfGone(renders, artifacts, renderId);
  }
}
