import path from 'node:path';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { hashFile } from '../../shared/files/hash-file.ts';
import type { RenderPlan } from '../../shared/renders/record.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { runFfmpeg } from '../tools/ffmpeg.ts';
import { checkInStep } from './check-video.ts';
import { joinMp4 } from './join-mp4.ts';
import { joinCommand, segmentList, type VideoForm } from './join-segments.ts';
import type { VideoFacts } from './receipt.ts';
import { soundtrackOf } from './soundtrack.ts';

const JOIN_TIMEOUT_MS = 30 * MINUTE_MS;

/**
 * Joins the segments of a render and its sound, looks at every packet of the result, and publishes it.
 * @throws FarmError `encode_failed`, or the fault of the machine; the signal's reason once that is aborted.
 */
export async function makeVideo(
  artifacts: ArtifactStore,
  renderId: string,
  { plan, form }: { readonly plan: RenderPlan; readonly form: VideoForm },
  { signal, log }: Pick<JobContext, 'signal' | 'log'>,
): Promise<VideoFacts> {
  const { output, frameRate } = form;
  const keys = plan.segmentGpus.map((_, index) => artifactKeys.segmentVideo(renderId, index, output));
  const listKey = artifactKeys.segmentList(renderId);
  await artifacts.put(listKey, segmentList(keys.map((key) => path.basename(key))));
  const soundKey = await soundtrackOf(artifacts, renderId, { ...plan, frameRate }, signal, output);
  await using files = await artifacts.checkOut([listKey, soundKey, ...keys], { signal });
  return await artifacts.publish(artifactKeys.video(renderId, output), async (target) => {
    const segments = keys.map((key) => files.path(key));
    const unusual = output === 'mp4' ? await joinMp4(segments, files.path(soundKey), target, signal) : undefined;
    if (unusual !== undefined) log.info({ reason: unusual }, 'ffmpeg joins the segments of this MP4');
    if (output !== 'mp4' || unusual !== undefined) {
      const command = joinCommand(files.path(listKey), files.path(soundKey), target, form);
      await runFfmpeg(command, { signal, timeoutMs: JOIN_TIMEOUT_MS });
    }
    const [measured, { sha256, sizeBytes }] = await Promise.all([
      checkInStep(target, plan.frameCount, signal, form),
      hashFile(target),
    ]);
    return { ...measured, sha256, bytes: sizeBytes };
  });
}
