import { entryVersion } from '../../shared/config/model-config.ts';
import { type JobOf, prepareJobOf } from '../../shared/jobs.ts';
import { untilKnown } from '../../shared/outcome.ts';
import { jobId } from '../../shared/queues.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import { framesOf, type RenderPlan, type RenderRecord } from '../../shared/renders/record.ts';
import { samplesOf } from '../../shared/sound/frame-rate.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { cutSegments, leastSamples, planRender, rangeOf } from './plan.ts';
import { PrepareRoom } from './prepare-room.ts';
import { encodeSoundAhead } from './prepare-sound.ts';
import { type PrepareTools, planInRecord } from './prepare-tools.ts';
import { readUpload } from './read-upload.ts';
import { resumeRender } from './resume-render.ts';
import { decideSilence } from './voice-file.ts';

/** Handles `prepare` jobs: decodes the upload, plans the segments and puts them on the GPU queues. */
export function prepareHandler(tools: PrepareTools) {
  const { config, renders, artifacts, dispatcher, work, disk } = tools;
  const room = new PrepareRoom({ config, work, disk });
  return async (job: JobOf<'prepare'>, context: JobContext): Promise<void> => {
    const { renderId } = job;
    const record = await renders.get(renderId);
    if (record.plan && record.run) return await resumeRender(tools, record, record.plan, context);
    const plan = record.plan ?? (await makePlan(record, context));
    if (!plan) return await removeFilesIfGone(renders, artifacts, renderId);
    await untilKnown(`The segments of render ${renderId} were to be queued`, () =>
      dispatcher.enqueueSegments(record, plan),
    );
    context.log.info({ frames: plan.frameCount, segments: plan.segmentGpus.length }, 'render planned');
    await encodeSoundAhead(tools, record, context);
  };

  /** Undefined when the render ended meanwhile. A plan that is there, of whatever attempt, is used. */
  async function makePlan(record: RenderRecord, { signal, log }: JobContext): Promise<RenderPlan | undefined> {
    const { renderId, request } = record;
    const writer = jobId(prepareJobOf(record));
    await room.waitUnlessFree(record);
    if (!(await renders.startPreparing(renderId, writer))) return await planInRecord(renders, renderId);
    const footagePictures = await tools.readyFootage(record, signal);
    const least = leastSamples(request, footagePictures);
    const { ear, sampleCount, replacedSamples, speech } = await readUpload(tools, record, signal, least);
    if (replacedSamples > 0) log.warn({ samples: replacedSamples }, 'damaged samples were made silent');
    const sound = isVideo(request.output) ? ear : undefined;
    const range = rangeOf(request, sampleCount, footagePictures);
    const outline = planRender(sampleCount, config.render, { range, frameRate: request.frameRate });
    await room.take(record, outline.frameCount);
    const segments = cutSegments(outline);
    const model = config.models.get(request.modelId);
    const modelVersion = model && entryVersion(model);
    const gate = await decideSilence(tools, record, outline, signal);
    const plan = {
      ...outline,
      ...{ footagePictures, sound, gate },
      speechSeconds: speech.secondsIn(samplesOf(framesOf(outline), request.frameRate)),
      modelVersion,
      segmentGpus: await dispatcher.place(request.modelId, segments),
    };
    await renders.startRendering(renderId, plan, writer);
    return await planInRecord(renders, renderId);
  }
}
