import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import { FarmError } from '../../shared/errors.ts';
import { walkOver } from '../../shared/footage.ts';
import type { SegmentJob } from '../../shared/jobs.ts';
import { logged } from '../../shared/process/unheard.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import { framesOf, isTerminal, type RenderRecord } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { samplesOf } from '../../shared/sound/frame-rate.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import type { PipelineThread } from '../engine/pipeline-thread.ts';
import type { SegmentTask } from '../engine/thread-protocol.ts';
import type { CancelWatch } from '../jobs/cancellation.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import type { Blocklist } from '../queues/blocklist.ts';
import type { EntryHistory } from './entry-history.ts';
import type { ModelClaims } from './model-claims.ts';
import type { ModelUsage } from './model-usage.ts';
import { Previews } from './previews.ts';
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
}

/** Handles `segment` jobs: hands the work to the pipeline thread and tells the render's record how it goes. */
export function segmentHandler(tools: SegmentHandlerTools) {
  const { renders, cancellation, artifacts, history, blocklist } = tools;
  return async (job: SegmentJob, { attempt, signal, log, span, showProgress }: JobContext): Promise<void> => {
    const record = await renders.get(job.renderId);
    await usableModel(tools, job.modelId);
    const task = { ...toTask(job, record), modelId: await history.keyOf(job.modelId, record.plan?.modelVersion) };
    const frameTotal = job.frames.end - job.frames.start;
    const report = async (framesDone: number) => {
      showProgress(Math.round((100 * framesDone) / frameTotal));
      const status = await renders.segments.reportProgress(job.renderId, job.segmentIndex, attempt, framesDone);
      if (!status || isTerminal(status)) cancellation.end(job.renderId);
    };
    const watch = watchOf(tools, job, span);
    watch.soundOf(
      (range) => artifacts.read(artifactKeys.samples(job.renderId), range),
      samplesOf(job.frames, record.request.frameRate),
    );
    const previews = new Previews(artifacts, job.renderId);
    await report(0);
    try {
      await tools.claims.load({ modelId: task.modelId }, signal);
      const { spans, ...result } = await tools.thread.render(
        { ...task, traced: watch.traced },
        signal,
        (framesDone, latestJpeg) => {
          watch.progressed(latestJpeg, 'jpeg', framesDone);
          report(framesDone).catch(logged('could not report progress; the next frames report it again'));
          previews.show({ jpeg: latestJpeg, frameIndex: job.frames.start + framesDone - 1 });
        },
      );
      watch.done(frameTotal, result.timings_ms, spans, result.silence);
      blocklist.succeeded(job);
      tools.usage.note(job.modelId, result.timings_ms.inference);
      await renders.segments.saveReceipt(job.renderId, {
        ...{ index: job.segmentIndex, frames: job.frames, gpu: tools.gpuId, worker: tools.workerId, attempt },
        ...result,
      });
      await previews.written;
      await report(frameTotal);
      log.info({ segment: job.segmentIndex, frames: frameTotal, ms: Math.round(result.wall_ms) }, 'segment rendered');
    } catch (error) {
      watch.failed(signal.aborted, error);
      await previews.written;
      if (signal.aborted) await removeFilesIfGone(renders, artifacts, job.renderId);
      else blocklist.failed(job, FarmError.from(error));
      throw error;
    }
  };
}

function watchOf({ gpuId, workLog }: SegmentHandlerTools, job: SegmentJob, span: TraceSpan | undefined): TaskWatch {
  const place = { kind: 'render', model: job.modelId, gpu: gpuId } as const;
  return new TaskWatch(
    place,
    { span, workLog },
    {
      ...{ render: job.renderId, segment: job.segmentIndex, request: job.origin?.request },
    },
  );
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
