import { PieceOfSound, readGivenInputs, readSamples } from '../live/live-inputs.ts';
import { noTimings, type RenderedFrame, renderFrames, type StageTimingsMs } from '../pipeline/pipeline.ts';
import type { LoadedModel } from './loaded-model.ts';
import type { LiveTask } from './thread-protocol.ts';
import type { Turns } from './turns.ts';

export interface LiveTools {
  readonly turns: Turns;
  readonly signal: AbortSignal;
  readonly onFrame: (frame: RenderedFrame) => void;
}

/** A GPU takes all frames of a request at once. On the CPU that is no faster, and the first frame would wait. */
const CPU_BATCH_FRAMES = 1;

/** Runs the pipeline over the frames of a live request and hands each over as it is finished. */
export async function renderLive(
  task: LiveTask,
  model: LoadedModel,
  { turns, signal, onFrame }: LiveTools,
): Promise<StageTimingsMs> {
  const { frames, startFrameIndex, totalSamples } = task;
  const { network, encoder, avatar } = model;
  const timings = noTimings();
  const frameCount = frames.end - frames.start;
  const parts = {
    audio: new PieceOfSound(readSamples(task.audio), task.firstSample, totalSamples),
    encoder,
    network,
    avatar,
    given: readGivenInputs(task, frameCount, network.size, totalSamples === 0),
    inTurn: <T>(work: () => Promise<T>) => turns.run('live', signal, work),
  };
  const request = {
    frames,
    startFrameIndex,
    totalFrames: frames.end,
    batchFrames: model.provider.provider === 'cpu' ? CPU_BATCH_FRAMES : frameCount,
    encoderBatchWindows: 1,
    grid: 'request',
    rowsAhead: task.rowsAhead,
  } as const;
  for await (const frame of renderFrames(request, parts, signal, timings)) onFrame(frame);
  return timings;
}
