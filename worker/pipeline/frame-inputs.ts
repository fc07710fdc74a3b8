import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { type Hearing, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { IdleMoment } from '../../shared/sound/idle-track.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import type { FeatureRows, FrameInputs, IndexRange } from './contract.ts';
import { checkRequest, type InputParts, type RenderFramesRequest } from './frame-request.ts';
import { wholeBatches } from './heard-sound.ts';
import { LookAhead } from './look-ahead.ts';
import { loadPicture } from './pipeline.ts';
import { type FeatureSource, SlidingFeatures } from './sliding-features.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';

/** Pictures that are being loaded while the network runs, at least. */
const PICTURES_AHEAD = 4;
/** Of frames in silence: the network does not run for them. */
const UNHEARD: FeatureRows = { data: new Float32Array(), firstRow: 0 };

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
  const { frames, batchFrames, gate, frameRate = USUAL_FRAME_RATE, rowsAhead = FEATURE_ROWS_AFTER } = request;
  if (frames.start === frames.end) return;
  const { pictures, given } = parts;
  const clock = new StageClock(timings);
  const computed = framesOfBatches(request);
  const { hearing = USUAL_HEARING } = parts.network;
  const own = ownFrames(hearing, frameRate);
  const heard = { ...parts, hearing };
  const features = given?.audioInput ? undefined : slidingFeatures(request, heard, own, { signal, clock });
  const placeOf = request.ownFootage ? (frame: number) => frame : own.of;
  const walk = { ...request, totalFrames: placeOf(request.totalFrames - 1) + 1 };
  const idleOf = (frame: number) => (pictures.idlePicture ? atOwnRate(gate?.idle?.at(frame), own) : undefined);
  const load = (frame: number) => loadPicture(pictures, placeOf(frame), walk, idleOf(frame));
  const loading = new LookAhead(load, computed, Math.max(batchFrames, PICTURES_AHEAD));
  for (let start = computed.start; start < computed.end; start += batchFrames) {
    const end = Math.min(start + batchFrames, computed.end);
    const isSilent = gate?.voices.isSilent({ start, end }) ?? false;
    const rows = isSilent ? UNHEARD : await features?.rowsFor(own.ofAll({ start, end }));
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
        gated: gate && { voice: gate.voices.at(frameIndex), idle: idleOf(frameIndex), counts: gate.counts },
        audioInput: rows ? { rows, row: own.of(frameIndex), rowsAhead } : (given?.audioInput as Float32Array),
        visualInput: given?.visualInputs?.at(frameIndex - frames.start),
        timings,
      };
    }
  }
}

/** On the grid of the sound all frames of the batches that hold a frame asked for, else the frames asked for. */
function framesOfBatches(request: RenderFramesRequest): IndexRange {
  return request.grid === 'request' ? request.frames : wholeBatches(request);
}

/**
 * Which frames of the model's own rate the frames of a video show: these have the same pictures, and hear the same rows.
 */
interface OwnFrames {
  of(frame: number): number;
  /** Those of a non-empty range. */
  ofAll(frames: IndexRange): IndexRange;
}

function ownFrames({ kind }: Hearing, frameRate: number): OwnFrames {
  const of = (frame: number) => rowOfFrame(frame, kind, frameRate);
  return { of, ofAll: ({ start, end }) => ({ start: of(start), end: of(end - 1) + 1 }) };
}

function atOwnRate(idle: IdleMoment | undefined, own: OwnFrames): IdleMoment | undefined {
  return idle && { ...idle, place: own.of(idle.place) };
}

function slidingFeatures(
  { grid, frames, encoderBatchWindows, rowsAhead = FEATURE_ROWS_AFTER }: RenderFramesRequest,
  parts: FeatureSource,
  own: OwnFrames,
  run: { signal: AbortSignal; clock: StageClock },
): SlidingFeatures {
  return new SlidingFeatures(parts, rowsAhead, grid === 'request' ? own.ofAll(frames) : encoderBatchWindows, run);
}
