import { USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import type { FrameInputs, IndexRange } from './contract.ts';
import { checkRequest, type InputParts, type RenderFramesRequest } from './frame-request.ts';
import { LookAhead } from './look-ahead.ts';
import { loadPicture } from './pipeline.ts';
import { SlidingFeatures } from './sliding-features.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';

/** Pictures that are being loaded while the network runs, at least. */
const PICTURES_AHEAD = 4;

/**
 * What the frames of `request.frames` are made from, in order, for the caller to run the network on. On the grid of the
 * sound the neighbouring frames that fill the batches come as well.
 * @throws FarmError `audio_empty`, `request_invalid` (a range or size that cannot be), `model_unusable` (no pictures);
 * `signal.reason` once the signal is aborted; whatever the encoder and the pictures throw.
 */
export async function* gatherFrameInputs<Picture>(
  request: RenderFramesRequest,
  parts: InputParts<Picture>,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<FrameInputs<Picture>> {
  checkRequest(request, parts);
  const { frames, batchFrames, rowsAhead = FEATURE_ROWS_AFTER } = request;
  if (frames.start === frames.end) return;
  const { pictures, given } = parts;
  const clock = new StageClock(timings);
  const computed = framesOfBatches(request);
  const features = given?.audioInput ? undefined : slidingFeatures(request, parts, { signal, clock });
  const load = (frame: number) => loadPicture(pictures, frame, request);
  const loading = new LookAhead(load, computed, Math.max(batchFrames, PICTURES_AHEAD));
  for (let start = computed.start; start < computed.end; start += batchFrames) {
    const end = Math.min(start + batchFrames, computed.end);
    const rows = await features?.rowsFor({ start, end });
    for (let frameIndex = start; frameIndex < end; frameIndex++) {
      signal.throwIfAborted();
      clock.start();
      const loaded = await loading.take(frameIndex);
      clock.lap('background');
      yield {
        frameIndex,
        wanted: frames.start <= frameIndex && frameIndex < frames.end,
        pictures,
        ...loaded,
        audioInput: rows ? { rows, rowsAhead } : (given?.audioInput as Float32Array),
        visualInput: given?.visualInputs?.at(frameIndex - frames.start),
        timings,
      };
    }
  }
}

/** On the grid of the sound all frames of the batches that hold a frame asked for, else the frames asked for. */
function framesOfBatches({ grid, frames, batchFrames, totalFrames }: RenderFramesRequest): IndexRange {
  if (grid === 'request') return frames;
  const start = Math.floor(frames.start / batchFrames) * batchFrames;
  return { start, end: Math.min(Math.ceil(frames.end / batchFrames) * batchFrames, totalFrames) };
}

function slidingFeatures(
  { grid, frames, encoderBatchWindows, rowsAhead = FEATURE_ROWS_AFTER }: RenderFramesRequest,
  parts: InputParts<unknown>,
  run: { signal: AbortSignal; clock: StageClock },
): SlidingFeatures {
  const hearing = parts.network.hearing ?? USUAL_HEARING;
  return new SlidingFeatures({ ...parts, hearing }, rowsAhead, grid === 'request' ? frames : encoderBatchWindows, run);
}
