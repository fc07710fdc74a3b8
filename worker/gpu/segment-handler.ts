import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore, ByteRange } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { SegmentJob } from '../../shared/jobs/jobs.ts';
import { logged } from '../../shared/process/unheard.ts';
import { walkOver } from '../../shared/renders/footage.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import { framesOf, isTerminal, type RenderRecord, type SegmentReceipt } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { samplesOf } from '../../shared/sound/frame-rate.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import type { PipelineThread } from '../engine/pipeline-thread.ts';
import type { SegmentTask } from '../engine/thread-protocol.ts';
import type { CancelWatch } from '../jobs/cancellation.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import type { Blocklist } from '../queues/blocklist.ts';
import type { KeptSegments } from '../segments/kept-segments.ts';
import type { EntryHistory } from './entry-history.ts';
import type { ModelClaims } from './model-claims.ts';
import type { ModelUsage } from './model-usage.ts';
import { Previews } from './previews.ts';
import { SegmentKeeping } from './segment-keeping.ts';
import { TaskWatch } from './task-watch.ts';
import { type KnownModels, usableModel } from './usable-model.ts';
import type { WorkLog } from './work-log.ts';

export interface SegmentHandlerTools extends KnownModels {
  readonly gpuId: number;
  readonly workerId: string;
  readonly history: EntryHistory;
  readonly thread: PipelineThread;
  readonly usage: ModelUsage;
  readonly renders: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly cancellation: CancelWatch;
  readonly blocklist: Blocklist;
  readonly claims: Pick<ModelClaims, 'load'>;
  readonly workLog: WorkLog;
  readonly kept: KeptSegments;
}

/** Handles `segment` jobs: hands the work to the pipeline thread and tells the render's record how it goes. */
export function segmentHandler(tools: SegmentHandlerTools) {
  const { renders, artifacts, history, blocklist } = tools;
  return async (job: SegmentJob, context: JobContext): Promise<void> => {
    const { attempt, signal, log } = context;
    const record = await renders.get(job.renderId);
    await usableModel(tools, job.modelId);
    const modelId = await history.keyOf(job.modelId, record.plan?.modelVersion);
    const frameTotal = job.frames.end - job.frames.start;
    const report = reporterOf(tools, job, context);
    const contentOfModel = () => tools.thread.models.loaded.get(modelId)?.content;
    const keeping = new SegmentKeeping(tools.kept, job, record, log);
    const finish = async (receipt: SegmentReceipt) => {
      await renders.segments.saveReceipt(job.renderId, receipt);
      await report(frameTotal);
      await endSegment(tools, job, receipt, context);
    };
    const watch = watchOf(tools, job, record, context.span);
    const previews = new Previews(artifacts, job.renderId);
    await report(0);
    try {
      await tools.claims.load({ modelId }, signal);
      const found = await keeping.find(contentOfModel());
      signal.throwIfAborted();
      if (found) return await finish(found);
      const { spans, content, ...result } = await tools.thread.render(
        { ...toTask(job, record), modelId, traced: watch.traced },
        signal,
        (framesDone, latestJpeg) => {
          watch.progressed(latestJpeg, 'jpeg', framesDone);
          report(framesDone).catch(logged('could not report progress; the next frames report it again'));
          previews.show({ jpeg: latestJpeg, frameIndex: job.frames.start + framesDone - 1 });
        },
      );
      watch.done(frameTotal, result.timings_ms, spans, result.silence);
      noteSuccess(tools, job, result);
      const receipt = { ...placeOf(tools, job), attempt, ...result };
      await keeping.keep(receipt, contentOfModel(), content);
      await previews.written;
      await finish(receipt);
    } catch (error) {
      watch.failed(signal.aborted, error);
      await previews.written;
      if (signal.aborted) await removeFilesIfGone(renders, artifacts, job.renderId);
      else blocklist.failed(job, FarmError.from(error));
      throw error;
    }
  };
}

/** A segment may have come late, to a render that has ended. */
async function endSegment(
  { renders, artifacts }: SegmentHandlerTools,
  { renderId }: SegmentJob,
  receipt: SegmentReceipt,
  { log, signal }: JobContext,
): Promise<void> {
  tellOfSegment(log, receipt);
  if (signal.aborted) await removeFilesIfGone(renders, artifacts, renderId);
}

function noteSuccess(
  { blocklist, usage }: SegmentHandlerTools,
  job: SegmentJob,
  { timings_ms }: Pick<SegmentReceipt, 'timings_ms'>,
): void {
  blocklist.succeeded(job);
  usage.note(job.modelId, timings_ms.inference);
}

/** Tells the render's record how many frames are done, and hears from it when the render has ended. */
function reporterOf(
  { renders, cancellation }: SegmentHandlerTools,
  { renderId, segmentIndex, frames }: SegmentJob,
  { attempt, showProgress }: JobContext,
): (framesDone: number) => Promise<void> {
  return async (framesDone) => {
    showProgress(Math.round((100 * framesDone) / (frames.end - frames.start)));
    const status = await renders.segments.reportProgress(renderId, segmentIndex, attempt, framesDone);
    if (!status || isTerminal(status)) cancellation.end(renderId);
  };
}

function tellOfSegment(log: JobContext['log'], { index, frames, wall_ms, cached }: SegmentReceipt): void {
  const facts = { segment: index, frames: frames.end - frames.start, ms: Math.round(wall_ms) };
  log.info(facts, cached ? 'segment was rendered before' : 'segment rendered');
}

function placeOf({ gpuId, workerId }: SegmentHandlerTools, { segmentIndex, frames }: SegmentJob) {
  return { index: segmentIndex, frames, gpu: gpuId, worker: workerId };
}

function watchOf(
  { gpuId, workLog, artifacts }: SegmentHandlerTools,
  job: SegmentJob,
  { request }: RenderRecord,
  span: TraceSpan | undefined,
): TaskWatch {
  const { renderId, segmentIndex, frames, origin } = job;
  const place = { kind: 'render', model: job.modelId, gpu: gpuId } as const;
  const about = { render: renderId, segment: segmentIndex, request: origin?.request };
  const watch = new TaskWatch(place, { span, workLog }, about);
  const read = (range: ByteRange) => artifacts.read(artifactKeys.samples(renderId), range);
  watch.soundOf(read, samplesOf(frames, request.frameRate));
  return watch;
}

function toTask(job: SegmentJob, record: RenderRecord): SegmentTask {
  const { plan, request } = record;
  if (!plan) throw new FarmError('internal', `Render ${job.renderId} has segments but no plan`);
  return {
    renderId: job.renderId,
    segmentIndex: job.segmentIndex,
    modelId: job.modelId,
    frames: job.frames,
    startFrameIndex: request.startFrameIndex,
    backgroundMode: request.footage ? walkOver(request.footage.syncMode) : request.backgroundMode,
    ownFootage: request.footage !== undefined,
    fromNeutral: request.fromNeutral,
    frameRate: request.frameRate,
    gated: plan.gate !== undefined,
    idleAfterMs: request.idleAfterMs,
    totalFrames: plan.totalFrames ?? plan.frameCount,
    clip: framesOf(plan),
    batchFrames: plan.batchFrames,
    encoderBatchWindows: plan.encoderBatchWindows,
    output: isVideo(request.output)
      ? { kind: request.output, crf: plan.h264Crf, preset: plan.h264Preset }
      : { kind: request.output, jpegQuality: request.jpegQuality },
  };
}
