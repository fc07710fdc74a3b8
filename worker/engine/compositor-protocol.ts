import type { StoreSettings } from '../../shared/artifacts/open.ts';
import type { ErrorReport } from '../../shared/errors/farm-error.ts';
import { type FramesOutput, isVideo, type VideoOutput } from '../../shared/renders/outputs.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { PreparedPicture } from '../compositor/contract.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import type { StageSpans } from '../pipeline/stage-timings.ts';
import type { SegmentNotes } from '../quality/segment-notes.ts';
import type { FrameForm, FromPipelineThread } from './thread-protocol.ts';

/**
 * All messages between the pipeline thread, which makes mouths, and the compositor thread, which puts them into their
 * pictures and writes the frames. What a live request waits for goes from the compositor straight to the main thread:
 * the pipeline thread is blocked most of the time by a run of a network.
 */

/** Handed over at the start of the thread. */
export interface CompositorThreadSettings extends StoreSettings {
  readonly log: { readonly processName: string; readonly level: string };
}

/** What becomes of the frames of a task. */
export type FrameOutput =
  /** They go to the main thread as they are finished; where only all of them are of use, in groups of so many bytes. */
  { readonly kind: 'live'; readonly form: FrameForm; readonly groupBytes: number } | FileOutput | SegmentVideoOutput;

/** A JPEG or PNG file each. */
export interface FileOutput {
  readonly kind: FramesOutput;
  readonly renderId: string;
  /** Of JPEG files. */
  readonly jpegQuality: number;
  /** Whether the frames keep the alpha of their pictures; absent: they do not. */
  readonly hasAlpha?: boolean;
  readonly notes?: SegmentNotes;
}

/** One video for all, under `key` in the store. */
export interface SegmentVideoOutput {
  readonly kind: VideoOutput;
  readonly key: string;
  readonly picture: { readonly width: number; readonly height: number };
  readonly crf: number;
  readonly preset: string;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
  /** As of files. */
  readonly hasAlpha?: boolean;
  /** What is kept besides the frames; absent: nothing. */
  readonly notes?: SegmentNotes;
}

export function isVideoOutput(output: FrameOutput): output is SegmentVideoOutput {
  return output.kind !== 'live' && isVideo(output.kind);
}

/** What a frame is put together from. */
export interface FrameParts {
  readonly frameIndex: number;
  /** [S, S, 3] RGB, in memory that both threads see. */
  readonly mouth: Uint8Array;
  /** In memory that both threads see, too. */
  readonly picture: PreparedPicture;
  /** All pixels of the picture, for outputs that need them. */
  readonly background?: RgbImage;
  /**
   * The picture as planes of YUV 4:2:0, which become the frame's, and that of its alpha behind them for an output that
   * keeps it; also in memory that both threads see.
   */
  readonly planes?: Uint8Array;
  /** Of `background`, for an output that keeps it: laid out as the plane of Y is. */
  readonly alpha?: Uint8Array;
}

export type ToCompositor =
  | { readonly type: 'open'; readonly taskId: number; readonly output: FrameOutput }
  | { readonly type: 'frame'; readonly taskId: number; readonly frameId: number; readonly frame: FrameParts }
  /** There are no more frames. `end` goes to the main thread when all are written, with the timings added. */
  | { readonly type: 'close'; readonly taskId: number; readonly end: LiveEnd | undefined }
  /** The frames are not wanted any more. */
  | { readonly type: 'abandon'; readonly taskId: number }
  /** No more tasks: the thread ends. */
  | { readonly type: 'end' };

export type LiveEnd = Extract<FromPipelineThread, { type: 'live-done' }>;

/** Milliseconds that the frames of a task took in the compositor thread. */
export interface FinishTimings {
  /** Putting mouths into pictures; a JPEG of which only the mouth's area is new is encoded in the same step. */
  readonly composite: number;
  /** While anything was being encoded beside that, or written. */
  readonly encode: number;
  /** When both ran. */
  readonly spans: StageSpans;
}

export type FromCompositor =
  /** The frame's memory is not read any more. */
  | { readonly type: 'used'; readonly frameId: number }
  /** Frames of the task cannot be written: more of them are of no use. Sent once, and `closed` with the same error later. */
  | { readonly type: 'broken'; readonly taskId: number; readonly error: ErrorReport }
  /** All frames are written, or the task is given up; nothing of it goes on. */
  | { readonly type: 'closed'; readonly taskId: number; readonly timings: FinishTimings; readonly error?: ErrorReport };

/** What the compositor thread sends to the main thread. */
export type CompositorReport = Extract<FromPipelineThread, { type: 'frames' | 'progress' | 'live-done' | 'failed' }>;
