import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import type { Config } from '../../shared/config/load.ts';
import { entryVersion } from '../../shared/config/model-config.ts';
import type { DiskReserve } from '../../shared/disk-reserve.ts';
import { FarmError } from '../../shared/errors.ts';
import type { JobOf } from '../../shared/jobs.ts';
import { untilKnown } from '../../shared/outcome.ts';
import { jobId } from '../../shared/queues.ts';
import { isTerminal, type RenderPlan, type RenderRecord } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { RenderWork } from '../../shared/renders/work.ts';
import { removeFilesIfGone } from '../jobs/ended-renders.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import { type DecodedSound, decodeAudio, type SoundPaths } from './decode-audio.ts';
import type { Dispatcher } from './dispatch.ts';
import { cutSegments, planRender } from './plan.ts';
import { PrepareRoom } from './prepare-room.ts';

export interface PrepareTools {
  readonly work: RenderWork;
  readonly disk: DiskReserve;
  readonly config: Config;
  readonly renders: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly dispatcher: Dispatcher;
}

/** Handles `prepare` jobs: decodes the upload, plans the segments and puts them on the GPU queues. */
export function prepareHandler({ config, renders, artifacts, dispatcher, work, disk }: PrepareTools) {
  const room = new PrepareRoom({ config, work, disk });
  return async ({ renderId }: JobOf<'prepare'>, context: JobContext): Promise<void> => {
    const record = await renders.get(renderId);
    const plan = record.plan ?? (await makePlan(record, context));
    if (!plan) return await removeFilesIfGone(renders, artifacts, renderId);
    await untilKnown(`The segments of render ${renderId} were to be queued`, () =>
      dispatcher.enqueueSegments(record, plan),
    );
    context.log.info({ frames: plan.frameCount, segments: plan.segmentGpus.length }, 'render planned');
  };

  /** Undefined when the render ended meanwhile. A plan that is there, of whatever attempt, is used. */
  async function makePlan(record: RenderRecord, { signal, log }: JobContext): Promise<RenderPlan | undefined> {
    const { renderId, request } = record;
    const writer = jobId({ name: 'prepare', renderId });
    await room.waitUnlessFree(record);
    if (!(await renders.startPreparing(renderId, writer))) return await planInRecord(renders, renderId);
    const { ear, sampleCount, replacedSamples } = await readUpload(record, signal);
    if (replacedSamples > 0) log.warn({ samples: replacedSamples }, 'damaged samples were made silent');
    const sound = request.output === 'mp4' ? ear : undefined;
    const outline = planRender(sampleCount, config.render);
    await room.take(record, outline.frameCount);
    const segments = cutSegments(outline.frameCount, outline.segmentFrames);
    const model = config.models.get(request.modelId);
    const modelVersion = model && entryVersion(model);
    const plan = { ...outline, sound, modelVersion, segmentGpus: await dispatcher.place(request.modelId, segments) };
    await renders.startRendering(renderId, plan, writer);
    return await planInRecord(renders, renderId);
  }

  async function readUpload({ renderId, request }: RenderRecord, signal: AbortSignal): Promise<DecodedSound> {
    const upload = artifacts.localPath(artifactKeys.upload(renderId));
    const maxSeconds = config.limits.max_audio_minutes * 60;
    const decode = (paths: Pick<SoundPaths, 'ear'>) =>
      artifacts.publish(artifactKeys.samples(renderId), (mouth) =>
        decodeAudio(upload, { ...paths, mouth }, maxSeconds, signal),
      );
    // Frames are delivered without sound.
    if (request.output === 'frames') return await decode({});
    return await artifacts.publish(artifactKeys.sound(renderId), (ear) => decode({ ear }));
  }
}

/** Undefined when the render has ended. */
async function planInRecord(renders: RenderStore, renderId: string): Promise<RenderPlan | undefined> {
  const record = await renders.find(renderId);
  if (!record || isTerminal(record.status)) return undefined;
  if (record.plan) return record.plan;
  throw new FarmError('internal', `Render ${renderId} is ${record.status} and has no plan`);
}
