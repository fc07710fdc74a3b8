/**
 * The order of the stages, and nothing else: sound → mel → windows → features → audio input; background → visual input;
 * both → network → composite.
 *
 * Frame i is the same, bit for bit, whatever range it is asked in. A network's result may depend on what shares its
 * batch, so batches lie on a grid that is fixed for the whole sound, and are computed whole even for a part of them.
 */
import { FarmError } from '../../shared/errors.ts';
import { BatchRunner, type TurnTaker } from './batch-runner.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AudioSource,
  type AvatarFrames,
  FEATURE_ROWS_AFTER,
  type IndexRange,
  type LipSyncNetwork,
  type RgbImage,
} from './contract.ts';
import { melFrameCount } from './mel.ts';
import { readMel, SlidingFeatures } from './sliding-features.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';
import { visualInputFloats } from './visual-input.ts';
import { type MelPiece, paddedSampleCount } from './windows.ts';

export type { TurnTaker } from './batch-runner.ts';
export { noTimings, type StageTimingsMs } from './stage-timings.ts';

/** 5 s of sound, 320 KB of samples. */
const MEL_FRAMES_PER_CHUNK = 400;
const NO_ROWS = { data: new Float32Array(), firstRow: 0 };

/**
 * Where batches begin. `sound`: on a grid over the whole sound, so that any cut of a render gives the same bits.
 * `request`: with the frames asked for; nothing is computed that they do not need, and the encoder runs once.
 */
export type BatchGrid = 'sound' | 'request';

export interface RenderFramesRequest {
  /** The frames wanted, within [0, totalFrames). */
  readonly frames: IndexRange;
  /** Place of frame 0 in the avatar's ping-pong walk. */
  readonly startFrameIndex: number;
  /** Frames of the whole render: where the last network batch ends. */
  readonly totalFrames: number;
  /** Frames in one run of the network. */
  readonly batchFrames: number;
  /** Windows in one run of the encoder, on the grid of the sound. */
  readonly encoderBatchWindows: number;
  /** `sound` when absent. */
  readonly grid?: BatchGrid;
  /** Feature rows after its own that a frame hears, 0 … 7, all of them when absent; the rest are zero rows. */
  readonly rowsAhead?: number;
}

/** What a caller has made already and the stages need not make. Only with the grid `request`. */
export interface GivenInputs {
  /** The audio input of every frame, [32, 16, 16]: the sound is not read. */
  readonly heard?: Float32Array | undefined;
  /** Visual inputs of the frames asked for, [count, 6, S, S]; they are still composited onto the avatar's pictures. */
  readonly seen?: Float32Array | undefined;
}

export interface PipelineParts {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
  readonly network: LipSyncNetwork;
  readonly avatar: AvatarFrames;
  readonly given?: GivenInputs;
  /** Held around each run of the network and the composites of its pictures. Absent: nobody else runs the network. */
  readonly inTurn?: TurnTaker;
}

export interface RenderedFrame {
  readonly frameIndex: number;
  /** The receiver's own: later frames do not touch it. */
  readonly image: RgbImage;
}

/**
 * The frames of `request.frames`, in order. Memory is bounded by the two batch sizes, not by the length of the sound.
 * No network output is held when a frame is yielded: whoever else has a turn may run `parts.network` then.
 * @param timings grows as the stages run.
 * @throws FarmError `audio_empty`, `request_invalid` (a range or size that cannot be), `model_unusable` (a crop rect or
 * picture that does not fit the avatar); `signal.reason` once the signal is aborted; whatever the parts throw.
 */
export async function* renderFrames(
  request: RenderFramesRequest,
  parts: PipelineParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<RenderedFrame> {
  checkRequest(request, parts);
  const { frames, batchFrames, startFrameIndex, rowsAhead = FEATURE_ROWS_AFTER } = request;
  if (frames.start === frames.end) return;
  const clock = new StageClock(timings);
  const { heard, seen } = parts.given ?? {};
  const wholeSound = request.grid !== 'request';
  const encoderRun = wholeSound ? request.encoderBatchWindows : frames;
  const features = heard ? undefined : new SlidingFeatures(parts, rowsAhead, encoderRun, { signal, clock });
  const sources = { startFrameIndex, rowsAhead, heard, seen: seen && { data: seen, firstFrame: frames.start } };
  const end = wholeSound ? request.totalFrames : frames.end;
  const batches = new BatchRunner(parts, sources, Math.min(batchFrames, end), clock);
  const firstBatch = wholeSound ? Math.floor(frames.start / batchFrames) * batchFrames : frames.start;
  for (let start = firstBatch; start < frames.end; start += batchFrames) {
    signal.throwIfAborted();
    const batch = { start, end: Math.min(start + batchFrames, end) };
    const rows = (await features?.rowsFor(batch)) ?? NO_ROWS;
    const wanted = { start: Math.max(start, frames.start), end: Math.min(batch.end, frames.end) };
    const next = { start: batch.end, end: batch.end < frames.end ? Math.min(batch.end + batchFrames, end) : batch.end };
    const images = await batches.run({ batch, wanted, next }, rows, signal);
    for (const [place, image] of images.entries()) {
      signal.throwIfAborted();
      yield { frameIndex: wanted.start + place, image };
    }
  }
}

/**
 * The mel of a whole sound as the encoder gets to see it (at least 16 frames), piece by piece.
 * @throws FarmError `audio_empty`; `signal.reason` once the signal is aborted.
 */
export async function* melOfSound(audio: AudioSource, signal?: AbortSignal): AsyncGenerator<MelPiece> {
  checkSound(audio);
  const melFrameTotal = melFrameCount(paddedSampleCount(audio.sampleCount));
  for (let start = 0; start < melFrameTotal; start += MEL_FRAMES_PER_CHUNK) {
    signal?.throwIfAborted();
    yield await readMel(audio, { start, end: Math.min(start + MEL_FRAMES_PER_CHUNK, melFrameTotal) });
  }
}

function checkSound(audio: AudioSource): void {
  if (audio.sampleCount < 1) throw new FarmError('audio_empty', 'The sound has no samples.');
}

function checkRequest(request: RenderFramesRequest, parts: PipelineParts): void {
  if (!parts.given?.heard) checkSound(parts.audio);
  if (parts.avatar.frameCount < 1) throw new FarmError('model_unusable', 'The avatar has no pictures.');
  const { frames, totalFrames, startFrameIndex, batchFrames, encoderBatchWindows } = request;
  const { rowsAhead = FEATURE_ROWS_AFTER } = request;
  const whole = [frames.start, frames.end, totalFrames, startFrameIndex, batchFrames, encoderBatchWindows, rowsAhead];
  const ordered = 0 <= frames.start && frames.start <= frames.end && frames.end <= totalFrames;
  const positive = startFrameIndex >= 0 && batchFrames >= 1 && encoderBatchWindows >= 1;
  const inReach = rowsAhead >= 0 && rowsAhead <= FEATURE_ROWS_AFTER;
  if (!ordered || !positive || !inReach || !whole.every(Number.isSafeInteger)) {
    const got = JSON.stringify(request);
    throw new FarmError(
      'request_invalid',
      `The frames must lie within [0, totalFrames) and batches hold 1 or more: ${got}`,
    );
  }
  checkGiven(request, parts);
}

function checkGiven({ frames, grid }: RenderFramesRequest, { given, network }: PipelineParts): void {
  const { heard, seen } = given ?? {};
  if (!heard && !seen) return;
  const seenFloats = (frames.end - frames.start) * visualInputFloats(network.size);
  const fits =
    (heard?.length ?? AUDIO_INPUT_FLOATS) === AUDIO_INPUT_FLOATS && (seen?.length ?? seenFloats) === seenFloats;
  if (grid === 'request' && fits) return;
  const got = `${heard?.length ?? 'no'} and ${seen?.length ?? 'no'} floats, grid ${grid}`;
  throw new FarmError(
    'request_invalid',
    `Given inputs must be ${AUDIO_INPUT_FLOATS} and ${seenFloats} floats, with the grid of the request: got ${got}`,
  );
}
