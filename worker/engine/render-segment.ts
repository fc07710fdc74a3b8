import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import { AudioFile } from '../media/audio-file.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import { renderFrames } from '../pipeline/render-frames.ts';
import { noTimings } from '../pipeline/stage-timings.ts';
import { type FrameSink, JpegFolder, SegmentVideo } from './frame-sinks.ts';
import type { SegmentResult, SegmentTask } from './thread-protocol.ts';
import type { Turns } from './turns.ts';

/** Progress goes to BullMQ and Redis, so it is reported twice a second at most. */
const PROGRESS_EVERY_MS = 500;

export interface SegmentTools {
  readonly artifacts: ArtifactStore;
  /** Live requests run between the network batches. */
  readonly turns: Turns;
  readonly signal: AbortSignal;
  /** Frames of this segment done so far, and the last of them. */
  readonly onProgress: (framesDone: number, latest: RgbImage) => void;
}

/** Runs the pipeline over a segment's frames and publishes them as a video segment or as JPEG files. */
export async function renderSegment(
  task: SegmentTask,
  model: LoadedModel,
  { artifacts, turns, signal, onProgress }: SegmentTools,
): Promise<SegmentResult> {
  const startedAt = performance.now();
  const timings = noTimings();
  const { width, height } = model.avatar;
  let encodeMs = 0;
  const inTurn = <T>(work: () => Promise<T>) => turns.run('segment', signal, work);
  // A network that takes one frame a run gains nothing from a turn for a whole batch, and a live request would wait for
  // it.
  const batchFrames = model.network.framesPerRun === 1 ? 1 : task.batchFrames;
  await using audio = await AudioFile.open(artifacts.localPath(artifactKeys.samples(task.renderId)));

  const run = async (sink: FrameSink) => {
    let reportedAt = startedAt;
    for await (const frame of renderFrames({ ...task, batchFrames }, { audio, inTurn, ...model }, signal, timings)) {
      const handedAt = performance.now();
      await sink.write(frame);
      const now = performance.now();
      encodeMs += now - handedAt;
      if (now - reportedAt < PROGRESS_EVERY_MS) continue;
      reportedAt = now;
      onProgress(frame.frameIndex + 1 - task.frames.start, frame.image);
    }
    const finishingAt = performance.now();
    await sink.finish();
    encodeMs += performance.now() - finishingAt;
  };

  await publish(task, { width, height }, artifacts, signal, run);
  const { visualInput, ...stages } = timings;
  return {
    provider: model.provider.provider,
    width,
    height,
    wall_ms: performance.now() - startedAt,
    timings_ms: { ...stages, visual_input: visualInput, encode: encodeMs },
    model_files: model.files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, bytes: sizeBytes })),
  };
}

/** Opens the sink that the task asks for, lets `run` fill it, and cleans up in any case. */
async function publish(
  task: SegmentTask,
  picture: { width: number; height: number },
  artifacts: ArtifactStore,
  signal: AbortSignal,
  run: (sink: FrameSink) => Promise<void>,
): Promise<void> {
  const { output, renderId } = task;
  if (output.kind === 'frames') {
    await using folder = new JpegFolder(renderId, output.jpegQuality, artifacts);
    return await run(folder);
  }
  await artifacts.publish(artifactKeys.segmentVideo(renderId, task.segmentIndex), async (path) => {
    await using video = new SegmentVideo(picture, output, path, signal);
    await run(video);
  });
}
