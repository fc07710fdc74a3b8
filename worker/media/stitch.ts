import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { JobOf } from '../../shared/jobs/jobs.ts';
import { jobId } from '../../shared/jobs/queues.ts';
import { count, observe } from '../../shared/metrics/tally.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderPlan, RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { Quality } from '../../shared/views/quality-view.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { makeVideo } from './make-video.ts';
import { buildReceipt } from './receipt.ts';
import { RenderLooks } from './render-look.ts';
import { resultSize } from './result-size.ts';
import type { SpentFiles } from './spent-files.ts';

export interface StitchTools {
  readonly renders: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly spentFiles: SpentFiles;
}

/** Handles `stitch` jobs: joins the segments, adds the sound, writes the receipt and completes the render. */
export function stitchHandler(tools: StitchTools) {
  const { renders, artifacts, spentFiles } = tools;
  const looks = new RenderLooks(artifacts);
  return async (job: JobOf<'stitch'>, { signal, log }: JobContext): Promise<void> => {
    const { renderId } = job;
    if (!(await renders.startStitching(renderId, jobId(job)))) return await tidyUp(tools, renderId);
    const record = await renders.get(renderId);
    const { plan } = record;
    if (!plan) throw new FarmError('internal', `Render ${renderId} is to be stitched but has no plan`);
    const segments = await renders.segments.receipts(renderId);
    checkComplete(plan, segments);
    // Beside joining and checking, which wait for the disk.
    const looking = looks.look(record, segments, { signal, log });
    const { output, frameRate } = record.request;
    const form = isVideo(output) ? { output, hasAlpha: segments.some(({ alpha }) => alpha), frameRate } : undefined;
    const video = await (form ? makeVideo(artifacts, renderId, { plan, form }, { signal, log }) : undefined)?.finally(
      () => looking,
    );
    const look = await looks.withWaterfall(await looking, record, segments, { signal, log });
    const receipt = buildReceipt(record, plan, segments, video, look);
    await artifacts.put(artifactKeys.receipt(renderId), JSON.stringify(receipt, null, 2));
    await spentFiles.announce(renderId);
    const bytes = await resultSize(artifacts, renderId, record.request, plan);
    if (!(await renders.complete(renderId, jobId(job), bytes))) return await tidyUp(tools, renderId);
    observeRender(record, look.quality);
    log.info({ frames: plan.frameCount }, 'render completed');
  };
}

/**
 * For a render that has ended while or before its job ran: sees to it that the parts of a completed one are removed, and
 * all files of one that was cancelled or removed.
 */
export async function tidyUp({ renders, artifacts, spentFiles }: StitchTools, renderId: string): Promise<void> {
  const record = await renders.find(renderId);
  if (record?.status === 'completed') await spentFiles.announce(renderId);
  else await removeFilesIfGone(renders, artifacts, renderId);
}

/** How long its sender had to wait, and what may be wrong with it, for `/metrics`. */
function observeRender({ createdAtMs, firstSegmentAtMs, request }: RenderRecord, quality: Quality | null): void {
  for (const finding of quality?.findings ?? []) {
    count('farm_quality_findings_total', { model: request.modelId, finding });
  }
  observe('farm_render_seconds', {}, (Date.now() - createdAtMs) / 1000);
  if (firstSegmentAtMs !== undefined) {
    observe('farm_render_wait_seconds', {}, (firstSegmentAtMs - createdAtMs) / 1000);
  }
}

/** Checks that every frame of the plan was rendered. */
function checkComplete(plan: RenderPlan, segments: readonly SegmentReceipt[]): void {
  const frames = segments.reduce((sum, segment) => sum + segment.frames.end - segment.frames.start, 0);
  if (segments.length === plan.segmentGpus.length && frames === plan.frameCount) return;
  throw new FarmError(
    'internal',
    `${segments.length} of ${plan.segmentGpus.length} segments and ${frames} of ${plan.frameCount} frames are there`,
  );
}
