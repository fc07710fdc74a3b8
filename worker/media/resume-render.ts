import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { entryVersion } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { prepareJobOf } from '../../shared/jobs/jobs.ts';
import { jobId } from '../../shared/jobs/queues.ts';
import { untilKnown } from '../../shared/redis/outcome.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderPlan, RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { cutSegments } from './plan.ts';
import { PrepareRoom } from './prepare-room.ts';
import { encodeSoundAhead } from './prepare-sound.ts';
import { type PrepareTools, planInRecord } from './prepare-tools.ts';
import { readUpload } from './read-upload.ts';
import { writeVoices } from './voice-file.ts';

/** Has what is missing of a retried render made, with the plan that it has. FarmError('render_not_resumable'). */
export async function resumeRender(
  tools: PrepareTools,
  record: RenderRecord,
  plan: RenderPlan,
  context: JobContext,
): Promise<void> {
  const { signal, log } = context;
  const { renders, artifacts, dispatcher } = tools;
  const version = currentVersion(tools, record);
  const { renderId, request } = record;
  const writer = jobId(prepareJobOf(record));
  const room = new PrepareRoom(tools);
  await room.waitUnlessFree(record);
  await room.take(record, plan.frameCount);
  const done = await keptSegments(tools, record, plan.modelVersion === version);
  if (await renders.startPreparing(renderId, writer)) {
    const segments = cutSegments(plan);
    const isWhole = done.size === segments.length;
    if (!(await hasSounds(artifacts, record, !isWhole))) await readAgain(tools, record, plan, signal);
    if (!isWhole) await tools.readyFootage(record, signal);
    if (plan.gate && !(await artifacts.size(artifactKeys.voices(renderId)))) {
      await writeVoices(artifacts, record, plan.gate, plan, signal);
    }
    const segmentGpus = await dispatcher.place(request.modelId, segments);
    await renders.startRendering(renderId, { ...plan, modelVersion: version, segmentGpus }, writer);
  }
  const present = await planInRecord(renders, renderId);
  if (!present) return await removeFilesIfGone(renders, artifacts, renderId);
  await untilKnown(`The segments of render ${renderId} were to be queued`, () =>
    dispatcher.enqueueSegments(record, present, done),
  );
  log.info({ frames: plan.frameCount, segments: plan.segmentGpus.length, kept: done.size }, 'render taken up again');
  await encodeSoundAhead(tools, record, context);
}

function currentVersion({ config }: PrepareTools, { request }: RenderRecord): string | undefined {
  const model = config.models.get(request.modelId);
  return model && entryVersion(model);
}

/**
 * Indexes of the segments that are done and whose files are there; the receipts of others are forgotten.
 * @param sameModel false when the model has another version now: a render is made from one version.
 */
async function keptSegments(
  { renders, artifacts }: PrepareTools,
  record: RenderRecord,
  sameModel: boolean,
): Promise<ReadonlySet<number>> {
  const kept = new Set<number>();
  const lost: number[] = [];
  for (const receipt of await renders.segments.receipts(record.renderId)) {
    const isKept = sameModel && (await hasFiles(artifacts, record, receipt));
    if (isKept) kept.add(receipt.index);
    else lost.push(receipt.index);
  }
  await renders.segments.forgetReceipts(record.renderId, lost);
  return kept;
}

/** @param forMouth false when no segment is to be rendered. */
async function hasSounds(
  artifacts: ArtifactStore,
  { renderId, request }: RenderRecord,
  forMouth: boolean,
): Promise<boolean> {
  const needed = [
    ...(forMouth ? [artifactKeys.samples(renderId)] : []),
    ...(isVideo(request.output) ? [artifactKeys.sound(renderId)] : []),
  ];
  const sizes = await Promise.all(needed.map((key) => artifacts.size(key)));
  return sizes.every((size) => size !== undefined);
}

async function readAgain(
  tools: PrepareTools,
  record: RenderRecord,
  { sampleCount }: RenderPlan,
  signal: AbortSignal,
): Promise<void> {
  if ((await tools.artifacts.size(artifactKeys.upload(record.renderId))) === undefined) {
    throw new FarmError('render_not_resumable', `Sound and upload of render ${record.renderId} are not in the store`);
  }
  await readUpload(tools, record, signal, sampleCount);
}

async function hasFiles(
  artifacts: ArtifactStore,
  { renderId, request }: RenderRecord,
  { index, frames }: SegmentReceipt,
): Promise<boolean> {
  const { output } = request;
  if (isVideo(output)) return (await artifacts.size(artifactKeys.segmentVideo(renderId, index, output))) !== undefined;
  const keys = Array.from({ length: frames.end - frames.start }, (_, index) =>
    artifactKeys.frame(renderId, frames.start + index, output),
  );
  const sizes = await Promise.all(keys.map((key) => artifacts.size(key)));
  return sizes.every((size) => size !== undefined);
}
