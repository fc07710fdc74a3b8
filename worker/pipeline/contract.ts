/**
 * What the pipeline's stages agree on: sizes (the rates are in shared/sound/rates.ts), the shapes that pass from one
 * stage to the next, the inputs of a frame, and the four ports that others implement (sound, two networks, the avatar's
 * pictures).
 */

import type { Hearing } from '../../shared/sound/hearing.ts';
import type { IdleMoment } from '../../shared/sound/idle-track.ts';
import {
  FEATURE_ROWS_AFTER,
  FEATURE_ROWS_BEFORE,
  FEATURE_SIZE,
  MEL_BANDS,
  WINDOW_MEL_FRAMES,
} from '../../shared/sound/rates.ts';
import type { StageTimingsMs } from './stage-timings.ts';

/** Floats in one encoder window, mel × time. */
export const WINDOW_FLOATS = MEL_BANDS * WINDOW_MEL_FRAMES;
/** Floats in one audio input of what is usual, [32, 16, 16]: 16 feature rows of `ave`. */
export const AUDIO_INPUT_FLOATS = (FEATURE_ROWS_BEFORE + 1 + FEATURE_ROWS_AFTER) * FEATURE_SIZE;

/** The network's S×S picture lies this far inside the (S+8)² crop, on every side. */
export const CROP_MARGIN = 4;

/** Side of the network's picture in pixels. */
export type NetworkSize = 160 | 320;

/** Floats in one visual input, [6, S, S]. */
export function visualInputFloats(size: NetworkSize): number {
  return 6 * size * size;
}

/** Floats in one picture of the network, [3, S, S]. */
export function outputFloats(size: NetworkSize): number {
  return 3 * size * size;
}

/** Bytes in one mouth, [S, S, 3] RGB, and in the face that it is made from. */
export function mouthBytes(size: NetworkSize): number {
  return 3 * size * size;
}

/** A half-open range [start, end) of indices: frames, windows, rows. */
export interface IndexRange {
  readonly start: number;
  readonly end: number;
}

/** A crop rect in picture pixels, x2 and y2 exclusive: width x2 − x1, height y2 − y1. */
export interface Rect {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** Interleaved 8-bit RGB, row-major, no padding: `data.length === width × height × 3`. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * A stretch of a sound's mel: `data` is time-major, 80 values a frame, its first frame is `firstFrame` of the sound.
 */
export interface MelPiece {
  readonly data: Float32Array;
  readonly firstFrame: number;
}

/** A stretch of F, the feature rows: whole rows in `data`, of which the first is row `firstRow` of F. */
export interface FeatureRows {
  readonly data: Float32Array;
  readonly firstRow: number;
}

/** 16 kHz mono sound in [-1, 1] that can be read in pieces. */
export interface AudioSource {
  readonly sampleCount: number;
  /** Samples [start, end); the range lies within [0, sampleCount]. */
  read(range: IndexRange): Promise<Float32Array>;
}

/**
 * Parts of a sound → speech features, as the kind has them: `ave` windows of mel [count, 1, 80, 16] → [count, 512];
 * `wenet` windows of filter banks [count, 1, 67, 80] → [count, 16 × 512]; `hubert` the levelled samples of one part →
 * its hidden states [states, 1024].
 */
export interface AudioEncoder {
  /** All flat; the result is the caller's own. @param count of the parts; 1 for `hubert`. */
  encode(parts: Float32Array, count: number): Promise<Float32Array>;
}

/** The lip-sync network. */
export interface LipSyncNetwork {
  readonly size: NetworkSize;
  /** What it hears; 16 rows of `ave` when absent. */
  readonly hearing?: Hearing;
  /** Most frames that share a run. 1: a frame's picture never depends on the frames that it was computed with. */
  readonly framesPerRun: number;
  /**
   * visual: [count, 6, S, S], BGR /255; audio: as `hearing` says, such as [count, 32, 16, 16]. Returns [count, 3, S, S], BGR 0…1 (not clamped),
   * valid until the next call.
   */
  generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array>;
  /**
   * The faces of a run → the pictures of their mouths, in bytes from end to end. Equal bit for bit to what
   * `paintOutside` (picture-floats.ts) makes around `generate`, which is its plain definition. One call at a time.
   * @param audio [count, …hearing.shape].
   * @param mouths receives [count, S, S, 3] RGB; it may lie in shared memory or in that of a WebAssembly instance.
   */
  paint(faces: Faces, audio: Float32Array, mouths: Uint8Array, count: number): Promise<void>;
  /**
   * As `paint`, with the network's own output in place of pictures: equal bit for bit to what `generateOutside` gives.
   * @param mouths receives [count, 3, S, S], BGR 0…1, not clamped; it may lie in shared memory.
   */
  paintFloats(faces: Faces, audio: Float32Array, mouths: Float32Array, count: number): Promise<void>;
}

/** The faces of one run of the network: pictures, or floats where a client sent some that no picture holds. */
export type Faces = PictureFaces | FloatFaces;

/** Each [count, S, S, 3] RGB. */
export interface PictureFaces {
  /** The inner S×S of each crop. */
  readonly crops: Uint8Array;
  /** Other pictures for the channels in which the mouth is hidden; it is hidden in them here. The crops when absent. */
  readonly rois?: Uint8Array | undefined;
}

export interface FloatFaces {
  /** [count, 6, S, S], BGR /255. */
  readonly visual: Float32Array;
}

/** Pictures of a face that the avatar brings along, in place of what the pipeline would cut out of the background. */
export interface GivenFace {
  /** (S+8)² picture of the crop rect, or its inner S². */
  readonly crop: RgbImage | undefined;
  /** S² picture of the face for the channels in which the mouth is hidden; it may be hidden in the picture already. */
  readonly roi: RgbImage | undefined;
}

export type { BackgroundMode } from '../../shared/background-mode.ts';

/** How a mouth meets the picture around it: as the network gives it, or fading in; or nothing of it is seen. */
export type Blend = 'none' | 'feather' | 'hidden';

/** The avatar's pictures and where its mouth is in each. */
export interface AvatarFrames {
  readonly frameCount: number;
  readonly width: number;
  readonly height: number;
  /** Crop rect of background `index`, 0 ≤ index < frameCount, inside the picture. */
  rect(index: number): Rect;
  /** Pixels of background `index`, the caller's own. */
  background(index: number): Promise<RgbImage>;
  /** The face of background `index`, where the avatar has pictures of it. Shared: read only. */
  face?(index: number): Promise<GivenFace>;
  /** `none` when absent. */
  readonly blend?: Blend;
  /** The mask of background `index`, of its size, where the avatar has masks: see `mouthWeights`. Shared: read only. */
  mask?(index: number): Promise<RgbImage>;
}

/** A visual input that the request brought: [6, S, S], or the S² picture of the face that it is to be made from. */
export type GivenVisualInput = Float32Array | RgbImage;

/**
 * The pictures of an avatar as the pipeline takes them. `Picture` is what frames are put together from, besides mouths;
 * the pipeline only passes it on. All methods throw FarmError `model_unusable` for a picture that cannot be used.
 */
export interface AvatarPictures<Picture> {
  readonly frameCount: number;
  /** Called some frames ahead. */
  picture(index: number): Promise<Picture>;
  /** As a frame shows it that shows some of an idle clip. Absent: the avatar has none. */
  idlePicture?(index: number, idle: IdleMoment): Promise<Picture>;
  /**
   * What the network sees of picture `index`: the inner S×S of its crop.
   * @param into receives [S, S, 3] RGB.
   */
  face(index: number, into: Uint8Array): Promise<void>;
  /** Whether there are other pictures for the channels in which the mouth is hidden. */
  readonly hasHiddenFaces: boolean;
  /** Such a picture, [S, S, 3] RGB; the mouth is not hidden in it yet. Only if `hasHiddenFaces`. */
  hiddenFace(index: number, into: Uint8Array): Promise<void>;
}

/** What the silence gate has saved of a task, in frames that were wanted. */
export interface SilenceCounts {
  /** In silence. */
  frames: number;
  /** Those of them for which the network did not run. */
  spared: number;
  /** Runs of the network, of a frame each, that made mouths of silence. */
  made: number;
  /** Those that show some of an idle clip. */
  idle: number;
}

/** Counts before anything has run. */
export function noSilence(): SilenceCounts {
  return { frames: 0, spared: 0, made: 0, idle: 0 };
}

/** How a silence gate has judged a frame. */
export interface GatedFrame {
  /** How much of the mouth is the network's, 0 … WHOLE_VOICE (shared/sound/silence-gate.ts); the rest is of silence. */
  readonly voice: number;
  /** How much of the idle clip it shows; absent: nothing. Where that is all, there is no mouth. */
  readonly idle?: IdleMoment | undefined;
  /** Grows by this frame. */
  readonly counts: SilenceCounts;
}

/** All that one frame is made from. */
export interface FrameInputs<Picture> {
  readonly frameIndex: number;
  /** False for a frame that only fills its batch: the network computes it, and its mouth is dropped. */
  readonly wanted: boolean;
  readonly pictures: AvatarPictures<Picture>;
  /** Which of the pictures the mouth belongs into, and that picture. */
  readonly pictureIndex: number;
  readonly picture: Picture;
  /** Absent: the mouth is the network's. */
  readonly gated?: GatedFrame | undefined;
  /** The audio input, of the shape that the network hears, or the feature rows that it is cut from, and its own one. */
  readonly audioInput: Float32Array | { readonly rows: FeatureRows; readonly row: number; readonly rowsAhead: number };
  /** The visual input instead of one made from the picture. */
  readonly visualInput: GivenVisualInput | undefined;
  /** Grows by this frame's share of the stages. */
  readonly timings: StageTimingsMs;
}

/** Memory for the inputs of one run of the network. */
export interface RunBuffers {
  /** Faces, [count, S, S, 3] RGB. */
  readonly crops: Uint8Array;
  /** Memory for as many other pictures, for the channels in which the mouth is hidden. */
  readonly rois: () => Uint8Array;
  /** [count, …hearing.shape] */
  readonly audio: Float32Array;
  /** Memory for [count, 6, S, S], for requests that brought floats. */
  readonly visual: () => Float32Array;
}

/** What a run of the network leaves of a mouth: the picture [S, S, 3] RGB, or its own floats [3, S, S], BGR 0…1. */
export type MouthForm = 'picture' | 'floats';

/** Bytes of a mouth. */
export function bytesOfMouth(form: MouthForm, size: NetworkSize): number {
  return form === 'picture' ? mouthBytes(size) : outputFloats(size) * Float32Array.BYTES_PER_ELEMENT;
}

/** A mouth that the network has made, and the picture that it belongs into: all that the finished frame is made from. */
export interface MouthFrame<Picture> {
  readonly frameIndex: number;
  readonly pictureIndex: number;
  readonly picture: Picture;
  /** How much of the idle clip `picture` shows; absent: nothing. */
  readonly idle?: IdleMoment | undefined;
  /** In the form that was asked for; a part of `memory`. */
  readonly mouth: Uint8Array;
  /** Held for this frame: whoever has read the mouth, or drops it, releases it once. */
  readonly memory: HeldMemory;
}

/** Memory that is used again when all its holders have released it. */
export interface HeldMemory {
  readonly bytes: Uint8Array;
  /** One more holder. */
  hold(): void;
  /** One holder less. */
  release(): void;
}

/** Gives memory for the mouths of a run, with arbitrary contents, as soon as there is some: the caller holds it. */
export type TakeMemory = (signal: AbortSignal) => Promise<HeldMemory>;
