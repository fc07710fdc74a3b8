/**
 * The order of the stages, and nothing else: sound → mel → windows → features → audio input; background → visual input;
 * both → network → composite.
 *
 * Frame i is the same, bit for bit, whatever range it is asked in. A network's result may depend on what shares its
 * batch, so batches lie on a grid that is fixed for the whole sound, and are computed whole even for a part of them.
 */
import { FarmError } from '../../shared/errors.ts';
import { backgroundIndex } from './background.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AudioSource,
  type AvatarFrames,
  FEATURE_ROWS_AFTER,
  type IndexRange,
  type LipSyncNetwork,
  type NetworkSize,
  type RgbImage,
} from './contract.ts';
import { melFrameCount } from './mel.ts';
import { type FrameOrder, NetworkBatch } from './network-batch.ts';
import { type FeatureMemory, readMel, SlidingFeatures } from './sliding-features.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';
import { visualInputFloats } from './visual-input.ts';
import { type MelPiece, paddedSampleCount } from './windows.ts';

export { checkFace } from './background.ts';
export { type FrameOrder, type MakeBuffer, NetworkBatch } from './network-batch.ts';
export type { FeatureMemory } from './sliding-features.ts';
export { noTimings, type StageTimingsMs } from './stage-timings.ts';

/** 5 s of sound, 320 KB of samples. */
const MEL_FRAMES_PER_CHUNK = 400;
/** Pictures on their way while the network runs, at least. */
const BACKGROUNDS_AHEAD = 4;

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
  readonly audioInput?: Float32Array | undefined;
  /** Visual inputs of the frames asked for, [count, 6, S, S]; they are still composited onto the avatar's pictures. */
  readonly visualInput?: Float32Array | undefined;
}

/** Runs work that nothing else of the same thread may come in between. */
export type TurnTaker = <T>(work: () => Promise<T>) => Promise<T>;

/** What frames are ordered with. */
export interface OrderParts {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
  readonly network: Pick<LipSyncNetwork, 'size'>;
  readonly avatar: AvatarFrames;
  readonly given?: GivenInputs;
  /** Features that earlier requests for the same sound have left. Only with the grid `request`. */
  readonly memory?: FeatureMemory | undefined;
}

export interface PipelineParts extends OrderParts {
  readonly network: LipSyncNetwork;
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
  const inTurn: TurnTaker = parts.inTurn ?? ((work) => work());
  const network = new NetworkBatch(parts.network, request.batchFrames);
  for await (const orders of inBatches(orderFrames(request, parts, signal, timings), request.batchFrames)) {
    const images = await inTurn(() => {
      signal.throwIfAborted();
      return network.run(orders);
    });
    const wanted = orders.filter((order) => order.wanted);
    for (const [place, image] of images.entries()) {
      signal.throwIfAborted();
      yield { frameIndex: (wanted[place] as FrameOrder).frameIndex, image };
    }
  }
}

/**
 * What the frames of `request.frames` are made from, in order, for whoever runs the network. On the grid of the sound
 * also the frames beside them that fill their batches. Backgrounds of the frames to come are loaded ahead.
 * @throws as renderFrames does, but for what the network throws.
 */
export async function* orderFrames(
  request: RenderFramesRequest,
  parts: OrderParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<FrameOrder> {
  checkRequest(request, parts);
  const { frames, batchFrames, rowsAhead = FEATURE_ROWS_AFTER } = request;
  if (frames.start === frames.end) return;
  const { avatar, given } = parts;
  const wholeSound = request.grid !== 'request';
  const clock = new StageClock(timings);
  const encoderRun = wholeSound ? request.encoderBatchWindows : frames;
  const features = given?.audioInput ? undefined : new SlidingFeatures(parts, rowsAhead, encoderRun, { signal, clock });
  const ordered = wholeSound ? wholeBatches(request) : frames;
  const indexOf = (frame: number) => backgroundIndex(request.startFrameIndex + frame, avatar.frameCount);
  const ahead = Math.max(batchFrames, BACKGROUNDS_AHEAD);
  const load = async (frame: number) => {
    const index = indexOf(frame);
    const [background, face] = await Promise.all([avatar.background(index), avatar.face?.(index)]);
    return { background, face };
  };
  const backgrounds = new Backgrounds(load, ordered, ahead);
  for (let start = ordered.start; start < ordered.end; start += batchFrames) {
    const batch = { start, end: Math.min(start + batchFrames, ordered.end) };
    const rows = await features?.rowsFor(batch);
    for (let frame = batch.start; frame < batch.end; frame++) {
      signal.throwIfAborted();
      clock.start();
      const { background, face } = await backgrounds.take(frame);
      clock.lap('background');
      yield {
        frameIndex: frame,
        wanted: frames.start <= frame && frame < frames.end,
        avatar,
        backgroundIndex: indexOf(frame),
        background,
        face,
        audioInput: rows ? { rows, rowsAhead } : (given?.audioInput as Float32Array),
        visualInput: given?.visualInput && visualInputOf(frame - frames.start, given.visualInput, parts.network.size),
        timings,
      };
    }
  }
}

/** The frames of all batches, on the grid of the sound, that hold a frame asked for. */
function wholeBatches({ frames, batchFrames, totalFrames }: RenderFramesRequest): IndexRange {
  const start = Math.floor(frames.start / batchFrames) * batchFrames;
  return { start, end: Math.min(Math.ceil(frames.end / batchFrames) * batchFrames, totalFrames) };
}

function visualInputOf(place: number, visualInput: Float32Array, size: NetworkSize): Float32Array {
  const floats = visualInputFloats(size);
  return visualInput.subarray(place * floats, (place + 1) * floats);
}

async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** The backgrounds of consecutive frames, a few of them on their way while the network runs. */
class Backgrounds<T> {
  readonly #load: (frame: number) => Promise<T>;
  readonly #end: number;
  readonly #ahead: number;
  readonly #loading: Promise<T>[] = [];
  #next: number;

  /** @param ahead how many are loaded ahead of the frame that is taken. */
  constructor(load: (frame: number) => Promise<T>, { start, end }: IndexRange, ahead: number) {
    this.#load = load;
    this.#next = start;
    this.#end = end;
    this.#ahead = ahead;
  }

  /** The background of `frame`; every frame is taken once, in order. */
  async take(frame: number): Promise<T> {
    for (; this.#next <= Math.min(frame + this.#ahead, this.#end - 1); this.#next++) {
      const loading = this.#load(this.#next);
      // A picture that cannot be read is the fault of the frame that needs it.
      loading.catch(() => {});
      this.#loading.push(loading);
    }
    return await (this.#loading.shift() as Promise<T>);
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

function checkRequest(request: RenderFramesRequest, parts: OrderParts): void {
  if (!parts.given?.audioInput) checkSound(parts.audio);
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

function checkGiven({ frames, grid }: RenderFramesRequest, { given, network }: OrderParts): void {
  const { audioInput, visualInput } = given ?? {};
  if (!audioInput && !visualInput) return;
  const seenFloats = (frames.end - frames.start) * visualInputFloats(network.size);
  const fits =
    (audioInput?.length ?? AUDIO_INPUT_FLOATS) === AUDIO_INPUT_FLOATS &&
    (visualInput?.length ?? seenFloats) === seenFloats;
  if (grid === 'request' && fits) return;
  const got = `${audioInput?.length ?? 'no'} and ${visualInput?.length ?? 'no'} floats, grid ${grid}`;
  throw new FarmError(
    'request_invalid',
    `Given inputs must be ${AUDIO_INPUT_FLOATS} and ${seenFloats} floats, with the grid of the request: got ${got}`,
  );
}
