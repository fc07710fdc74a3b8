import { entryVersion } from '../../shared/config/model-config.ts';
import { type JobOf, prepareJobOf } from '../../shared/jobs/jobs.ts';
import { jobId } from '../../shared/jobs/queues.ts';
import { untilKnown } from '../../shared/redis/outcome.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import { framesOf, type RenderPlan, type RenderRecord, type SegmentReceipt } from '../../shared/renders/record.ts';
import { samplesOf } from '../../shared/sound/frame-rate.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { cutSegments, leastSamples, planRender, rangeOf } from './plan.ts';
import { PrepareRoom } from './prepare-room.ts';
import { encodeSoundAhead } from './prepare-sound.ts';
import { type PrepareTools, planInRecord } from './prepare-tools.ts';
import { readUpload } from './read-upload.ts';
import { resumeRender } from './resume-render.ts';
import { noteKept, segmentsDone, useKeptSegments } from './use-kept-segments.ts';
import { decideSilence } from './voice-file.ts';

/** Handles `prepare` jobs: decodes the upload, plans the segments and puts them on the GPU queues. */
export function prepareHandler(tools: PrepareTools) {
  const { config, renders, artifacts, dispatcher, work, disk } = tools;
  const room = new PrepareRoom({ config, work, disk });
  return async (job: JobOf<'prepare'>, context: JobContext): Promise<void> => {
    try {
      await prepare(job, context);
    } catch (error) {
      if (context.signal.aborted) await removeFilesIfGone(renders, artifacts, job.renderId);
      throw error;
    }
  };

  async function prepare({ renderId }: JobOf<'prepare'>, context: JobContext): Promise<void> {
    const record = await renders.get(renderId);
    if (record.plan && record.run) return await resumeRender(tools, record, record.plan, context);
    const plan = record.plan ?? (await makePlan(record, context));
    if (!plan) return await removeFilesIfGone(renders, artifacts, renderId);
    const done = await segmentsDone(renders, record, plan);
    await noteDone(tools, renderId, done);
    await untilKnown(`The segments of render ${renderId} were to be queued`, () =>
      dispatcher.enqueueSegments(record, plan, new Set(done.keys())),
    );
    const segments = plan.segmentGpus.length;
    context.log.info({ frames: plan.frameCount, segments, cached: done.size }, 'render planned');
    // With nothing to render `stitch` begins now, and needs the sound itself.
    if (done.size < segments) await encodeSoundAhead(tools, record, context);
  }

  /** Undefined when the render ended meanwhile. A plan that is there, of whatever attempt, is used. */
  async function makePlan(record: RenderRecord, context: JobContext): Promise<RenderPlan | undefined> {
    const { renderId, request } = record;
    const writer = jobId(prepareJobOf(record));
    await room.waitUnlessFree(record);
    if (!(await renders.startPreparing(renderId, writer))) return await planInRecord(renders, renderId);
    const { outline, facts } = await readSound(tools, record, context);
    await room.take(record, outline.frameCount);
    const model = config.models.get(request.modelId);
    const gate = await decideSilence(tools, record, outline, context.signal);
    const plan = { ...outline, ...facts, gate, modelVersion: model && entryVersion(model) };
    const kept = await useKeptSegments(tools, { ...record, plan: { ...plan, segmentGpus: [] } }, context);
    const segmentGpus = await gpusOf(tools, request.modelId, plan, kept);
    await renders.startRendering(renderId, { ...plan, segmentGpus }, writer);
    const noted = await planInRecord(renders, renderId);
    if (noted) await noteKept(renders, renderId, noted, kept);
    return noted;
  }
}

/** Reads the upload and lays out the frames that follow from it. */
async function readSound(tools: PrepareTools, record: RenderRecord, { signal, log }: JobContext) {
  const { request } = record;
  const footagePictures = await tools.readyFootage(record, signal);
  const least = leastSamples(request, footagePictures);
  const { ear, sampleCount, replacedSamples, speech } = await readUpload(tools, record, signal, least);
  if (replacedSamples > 0) log.warn({ samples: replacedSamples }, 'damaged samples were made silent');
  const range = rangeOf(request, sampleCount, footagePictures);
  const outline = planRender(sampleCount, tools.config.render, { range, frameRate: request.frameRate });
  const speechSeconds = speech.secondsIn(samplesOf(framesOf(outline), request.frameRate));
  return { outline, facts: { footagePictures, sound: isVideo(request.output) ? ear : undefined, speechSeconds } };
}

/** The GPUs of a render's segments; those that were rendered before have that of then. */
async function gpusOf(
  { dispatcher }: Pick<PrepareTools, 'dispatcher'>,
  modelId: string,
  outline: Omit<RenderPlan, 'segmentGpus'>,
  kept: ReadonlyMap<number, SegmentReceipt>,
): Promise<number[]> {
  const segments = cutSegments(outline);
  const missing = segments.filter((_, index) => !kept.has(index));
  const placed = missing.length > 0 ? await dispatcher.place(modelId, missing) : [];
  let next = 0;
  return segments.map((_, index) => kept.get(index)?.gpu ?? placed[next++] ?? 0);
}

/** Of segments that nobody renders. */
const KEPT_ATTEMPT = 0;

/** Counts the frames of segments that need no job as done. */
async function noteDone(
  { renders }: Pick<PrepareTools, 'renders'>,
  renderId: string,
  done: ReadonlyMap<number, SegmentReceipt>,
): Promise<void> {
  for (const { index, frames } of done.values()) {
    await renders.segments.reportProgress(renderId, index, KEPT_ATTEMPT, frames.end - frames.start);
  }
}
