import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { formOf, isVideo } from '../../shared/renders/outputs.ts';
import { AudioFile } from '../media/audio-file.ts';
import { readSilence } from '../media/voice-file.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { mouthBytes, noSilence, type SilenceCounts } from '../pipeline/contract.ts';
import { renderMouths } from '../pipeline/render-frames.ts';
import { noTimings, type StageTimingsMs, spansOf, tracedTimings } from '../pipeline/stage-timings.ts';
import { withIdleClip } from '../prepared/idle-clip.ts';
import { notesOf } from '../quality/segment-notes.ts';
import type { FrameOutput } from './compositor-protocol.ts';
import type { FrameLine, OpenOutput } from './frame-line.ts';
import { completing } from './frame-parts.ts';
import { type LastingPools, mouthPool } from './memory-pool.ts';
import type { SegmentResult, SegmentTask } from './thread-protocol.ts';
import type { Turns } from './turns.ts';

/** A model, with the pictures that a segment shows. */
export type SegmentModel = Pick<
  LoadedModel,
  'network' | 'encoder' | 'avatar' | 'prepared' | 'silentMouths' | 'idle' | 'provider' | 'files' | 'content'
>;

export interface SegmentTools {
  readonly artifacts: ArtifactStore;
  readonly line: FrameLine;
  /** Live requests run between the network batches. */
  readonly turns: Turns;
  /** Of the memory of its frames. */
  readonly pools: LastingPools;
  readonly signal: AbortSignal;
}

/** Makes the mouths of a segment's frames, and has the compositor publish these as a video segment or as JPEG files. */
export async function renderSegment(
  taskId: number,
  task: SegmentTask,
  model: SegmentModel,
  tools: SegmentTools,
): Promise<SegmentResult> {
  const [startedAt, started_at] = [performance.now(), new Date().toISOString()];
  const { width, height } = model.avatar;
  const hasAlpha = model.avatar.hasAlpha && formOf(task.output.kind).hasAlpha;
  const timings = task.traced ? tracedTimings() : noTimings();
  const silence = noSilence();
  const wanted = outputOf(task, { width, height }, hasAlpha);
  const output = tools.line.open(taskId, wanted);
  const before = contentOf(task, model);
  try {
    const shown = await makeMouths(task, model, tools, [wanted, output], { timings, silence });
    await output.whenSent();
    const { composite, encode, spans } = await output.close();
    const ownSpans = spansOf(timings);
    const { visualInput, ...stages } = timings;
    return {
      ...{ provider: model.provider.provider, width, height },
      ...(hasAlpha ? { alpha: true } : {}),
      started_at,
      wall_ms: performance.now() - startedAt,
      timings_ms: { ...stages, composite, visual_input: visualInput, encode },
      ...(task.gated ? { silence } : {}),
      model_files: model.files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, bytes: sizeBytes })),
      ...(ownSpans ? { spans: { ...ownSpans, ...spans } } : {}),
      ...(await keptAs(task, model, before, { pictures: shown, idle: silence.idle > 0 })),
    };
  } catch (error) {
    await output.abandon();
    throw error;
  }
}

/** The hash of what a segment is made with: pictures of own footage are those of the request. */
function contentOf({ ownFootage }: SegmentTask, { content }: SegmentModel): string | undefined {
  return ownFootage ? content?.networks : content?.id;
}

/**
 * By which content the segment may be kept, if it is surely that: the hash was the same before and after, and the files
 * of the pictures that are seen have not changed since they were read for it.
 */
async function keptAs(
  task: SegmentTask,
  model: SegmentModel,
  before: string | undefined,
  shown: { readonly pictures: ReadonlySet<number>; readonly idle: boolean },
): Promise<Pick<SegmentResult, 'content'>> {
  const content = contentOf(task, model);
  if (content === undefined || (before !== undefined && before !== content)) return {};
  const isSame = task.ownFootage ? model.content?.isOfFootage() : model.content?.isOf(shown.pictures, shown.idle);
  return (await isSame) ? { content } : {};
}

/** @returns the pictures that are seen in it. */
async function makeMouths(
  task: SegmentTask,
  model: SegmentModel,
  { artifacts, turns, pools, signal: wanted }: SegmentTools,
  [frames, output]: [FrameOutput, OpenOutput],
  { timings, silence }: { readonly timings: StageTimingsMs; readonly silence: SilenceCounts },
): Promise<ReadonlySet<number>> {
  const signal = AbortSignal.any([wanted, output.broken]);
  const keepsAlpha = frames.kind !== 'live' && frames.hasAlpha === true;
  const prepared = keepsAlpha ? await model.prepared.withoutBackdrop() : model.prepared;
  const idle = keepsAlpha ? await model.idle?.keepingAlpha() : model.idle;
  const complete = completing(frames, { avatar: model.avatar, prepared, idle }, pools, signal);
  const inTurn = <T>(work: () => Promise<T>) => turns.run('segment', signal, work);
  // A network that takes one frame a run gains nothing from a turn for a whole batch, and a live request would wait for
  // it.
  const batchFrames = model.network.framesPerRun === 1 ? 1 : task.batchFrames;
  const pool = mouthPool(batchFrames, mouthBytes(model.network.size), pools);
  const takeMemory = (aborted: AbortSignal) => pool.take(aborted);
  await using audio = await AudioFile.ofRender(artifacts, task.renderId);
  const { network, encoder, silentMouths } = model;
  const pictures = withIdleClip(prepared, idle);
  const parts = { audio, inTurn, takeMemory, network, encoder, pictures, silentMouths };
  const gate = task.gated ? { ...(await readSilence(artifacts, task)), counts: silence } : undefined;
  const shown = new Set<number>();
  for await (const frame of renderMouths({ ...task, batchFrames, gate }, parts, signal, timings)) {
    shown.add(frame.pictureIndex);
    output.write(complete(frame));
  }
  return shown;
}

function outputOf(
  { output, renderId, segmentIndex, frames, totalFrames, clip, frameRate }: SegmentTask,
  picture: { width: number; height: number },
  hasAlpha: boolean,
): FrameOutput {
  const notes = notesOf(
    renderId,
    { index: segmentIndex, frames, clip: clip ?? { start: 0, end: totalFrames } },
    isVideo(output.kind),
  );
  if (!('crf' in output)) return { ...output, renderId, notes, hasAlpha };
  const key = artifactKeys.segmentVideo(renderId, segmentIndex, output.kind);
  return { ...output, frameRate, picture, notes, hasAlpha, key };
}
