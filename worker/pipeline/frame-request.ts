/** A request for frames, the parts that make them, and the check that the two fit. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { IdleTrack } from '../../shared/sound/idle-track.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import type { VoiceTrack } from '../../shared/sound/silence-gate.ts';
import type {
  AudioEncoder,
  AudioSource,
  AvatarPictures,
  BackgroundMode,
  GivenVisualInput,
  IndexRange,
  LipSyncNetwork,
  NetworkSize,
  SilenceCounts,
} from './contract.ts';
import type { FeatureMemory } from './sliding-features.ts';

/**
 * Where batches begin. `sound`: on a grid over the whole sound, so that any cut of a render gives the same bits.
 * `request`: at the first frame of the request; nothing else is computed, and the encoder runs once.
 */
export type BatchGrid = 'sound' | 'request';

/** What a silence gate says of the frames. */
export interface FrameGate {
  readonly voices: VoiceTrack;
  /** Which of them show the avatar's idle clip, if it has one; absent: none. */
  readonly idle?: IdleTrack | undefined;
  readonly counts: SilenceCounts;
}

export interface RenderFramesRequest {
  /** The frames wanted, within [0, totalFrames). */
  readonly frames: IndexRange;
  /** Place of frame 0 in the walk over the avatar's pictures. */
  readonly startFrameIndex: number;
  /** That walk; ping-pong when absent. */
  readonly backgroundMode?: BackgroundMode | undefined;
  /** True: the walk turns back in the middle of the whole render, and ends where it began. */
  readonly fromNeutral?: boolean | undefined;
  /** True: the pictures have the rate of the video, so that each frame has its own; else they have the model's rate. */
  readonly ownFootage?: boolean;
  /** Frames of the whole render: where the last network batch ends. */
  readonly totalFrames: number;
  /** Frames a second of the video; 25 when absent. */
  readonly frameRate?: FrameRate | undefined;
  /** Frames in one run of the network. */
  readonly batchFrames: number;
  /** Windows in one run of the encoder, on the grid of the sound. */
  readonly encoderBatchWindows: number;
  /** `sound` when absent. */
  readonly grid?: BatchGrid;
  /** Which frames hear a voice, and how much; all of it when absent. Not with visual inputs of the request's own. */
  readonly gate?: FrameGate | undefined;
  /** Feature rows after its own that a frame hears, 0 … 7, all that its network hears when absent; the rest are zero. */
  readonly rowsAhead?: number;
}

/** Inputs that the caller has made already, so that the stages need not make them. Only with the grid `request`. */
export interface GivenInputs {
  /** The audio input of every frame, of the shape that the network hears: the sound is not read. */
  readonly audioInput?: Float32Array | undefined;
  /** Visual inputs of the frames asked for; they are still composited onto the avatar's pictures. */
  readonly visualInputs?: GivenVisualInputs | undefined;
}

/** The visual inputs of several frames, for networks of one size. */
export interface GivenVisualInputs {
  readonly size: NetworkSize;
  readonly count: number;
  /** That of frame `place` of the frames asked for, 0 ≤ place < count. */
  at(place: number): GivenVisualInput;
}

/** What the inputs of frames are made with. */
export interface InputParts<Picture> {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
  readonly network: Pick<LipSyncNetwork, 'size' | 'hearing'>;
  readonly pictures: AvatarPictures<Picture>;
  readonly given?: GivenInputs;
  /** Features that earlier requests for the same sound have left. Only with the grid `request`. */
  readonly memory?: FeatureMemory | undefined;
}

/**
 * @throws FarmError `audio_empty`, `model_unusable` (no pictures), `request_invalid` (a range or size that cannot be).
 */
export function checkRequest(request: RenderFramesRequest, parts: InputParts<unknown>): void {
  if (!parts.given?.audioInput) checkSound(parts.audio);
  if (parts.pictures.frameCount < 1) throw new FarmError('model_unusable', 'The avatar has no pictures.');
  const { frames, totalFrames, startFrameIndex, batchFrames, encoderBatchWindows } = request;
  const { rowsAhead = FEATURE_ROWS_AFTER } = request;
  const integers = [
    frames.start,
    frames.end,
    totalFrames,
    startFrameIndex,
    batchFrames,
    encoderBatchWindows,
    rowsAhead,
  ];
  const inRange = 0 <= frames.start && frames.start <= frames.end && frames.end <= totalFrames;
  const positive = startFrameIndex >= 0 && batchFrames >= 1 && encoderBatchWindows >= 1;
  const inReach = rowsAhead >= 0 && rowsAhead <= FEATURE_ROWS_AFTER;
  if (!inRange || !positive || !inReach || !integers.every(Number.isSafeInteger)) {
    const got = JSON.stringify(request);
    throw new FarmError(
      'request_invalid',
      `The frames must lie within [0, totalFrames) and batches hold 1 or more: ${got}`,
    );
  }
  checkGiven(request, parts);
}

/** @throws FarmError `audio_empty`. */
export function checkSound(audio: AudioSource): void {
  if (audio.sampleCount < 1) throw new FarmError('audio_empty', 'The sound has no samples.');
}

function checkGiven({ frames, grid }: RenderFramesRequest, { given, network }: InputParts<unknown>): void {
  const { audioInput, visualInputs } = given ?? {};
  if (!audioInput && !visualInputs) return;
  const count = frames.end - frames.start;
  const heard = audioFloats(network.hearing ?? USUAL_HEARING);
  const audioFits = (audioInput?.length ?? heard) === heard;
  const visualFits = !visualInputs || (visualInputs.count === count && visualInputs.size === network.size);
  if (grid === 'request' && audioFits && visualFits) return;
  const visual = visualInputs ? `${visualInputs.count} of ${visualInputs.size}²` : 'no';
  const expected = `${heard} floats and ${count} visual inputs of ${network.size}²`;
  throw new FarmError(
    'request_invalid',
    `Given inputs must be ${expected}, with the grid of the request: got ${audioInput?.length ?? 'no'} floats and ${visual}, grid ${grid}`,
  );
}
