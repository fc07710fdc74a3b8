import type { StoreSettings } from '../../shared/artifacts/open.ts';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import type { ErrorReport } from '../../shared/errors/farm-error.ts';
import type { FramesOutput, VideoOutput } from '../../shared/renders/outputs.ts';
import type { SegmentReceipt } from '../../shared/renders/record.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { IdleFrames } from '../../shared/sound/idle-track.ts';
import type { LoadedModelState, ModelCost } from '../../shared/workers/heartbeat.ts';
import type { LoadSettings } from '../models/load-settings.ts';
import type { ModelLimits } from '../models/model-limits.ts';
import type { BackgroundMode, IndexRange, SilenceCounts } from '../pipeline/contract.ts';
import type { StageSpans, StageTimingsMs } from '../pipeline/stage-timings.ts';
import type { LiveBatchSettings } from './live-batches.ts';
import type { LiveBytes } from './live-inputs.ts';
import type { Loading, StuckLimits } from './thread-watch.ts';

/**
 * All messages between the main thread of a GPU process, which talks to Redis, and its pipeline thread, which computes.
 * There are two threads because a run of a network blocks its thread until it ends. Frames, progress, and the end of
 * live tasks that had frames come from the compositor thread (compositor-protocol.ts); mouths that go into no picture,
 * and the end of their tasks, from the pipeline thread.
 */

/** Handed over at the start of the thread. */
export interface PipelineThreadSettings extends LoadSettings, StoreSettings {
  /** Of faults that nobody awaits; all others are sent to the main thread. */
  readonly log: { readonly processName: string; readonly level: string };
  readonly models: ReadonlyMap<string, ModelConfig>;
  readonly limits: ModelLimits;
  readonly liveBatches: LiveBatchSettings;
  readonly stuck: StuckLimits;
}

/** A segment of a render, with everything that decides what its pictures look like. */
export interface SegmentTask {
  /** Whether it is to be told when each stage ran. */
  readonly traced?: boolean;
  readonly renderId: string;
  readonly segmentIndex: number;
  readonly modelId: string;
  readonly frames: IndexRange;
  readonly startFrameIndex: number;
  /** Absent: ping-pong. */
  readonly backgroundMode?: BackgroundMode | undefined;
  readonly fromNeutral?: boolean | undefined;
  /** True: the pictures are those of the render's own footage. */
  readonly ownFootage?: boolean;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
  /** Whether it has a silence gate: the voices of its frames are in the store. */
  readonly gated?: boolean;
  /** With a silence gate: silence in ms after which the idle clip is shown; absent: it is not. */
  readonly idleAfterMs?: number | undefined;
  /** Of the whole sound: they decide how the networks are run. */
  readonly totalFrames: number;
  /** Frames that the render makes of them; absent: all. */
  readonly clip?: IndexRange;
  readonly batchFrames: number;
  readonly encoderBatchWindows: number;
  readonly output:
    | { readonly kind: VideoOutput; readonly crf: number; readonly preset: string }
    | { readonly kind: FramesOutput; readonly jpegQuality: number };
}

/** What the thread knows of a finished segment; the main thread knows the rest of its receipt. */
export type SegmentResult = Pick<
  SegmentReceipt,
  'provider' | 'width' | 'height' | 'alpha' | 'started_at' | 'wall_ms' | 'timings_ms' | 'silence' | 'model_files'
> & {
  /** When each stage ran, of a task that is traced. */
  readonly spans?: StageSpans;
  /** Hash of what it was made with; absent where segments are not kept, or this one must not be. */
  readonly content?: string;
};

/** The frames of a live request, with the payload that they are made from. */
export interface LiveTask extends LiveBytes {
  /** Whether it is to be told when each stage ran. */
  readonly traced?: boolean;
  readonly requestId: string;
  /** The stream that the request is a part of. */
  readonly streamId?: string | undefined;
  readonly modelId: string;
  readonly frames: IndexRange;
  readonly startFrameIndex: number;
  /** Absent: ping-pong. */
  readonly backgroundMode?: BackgroundMode | undefined;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
  /** How much of a voice its frames hear (shared/sound/silence-gate.ts); absent: all of it. */
  readonly voices?: string | undefined;
  /** How much of the model's idle clip they show; absent: nothing. */
  readonly idle?: IdleFrames | undefined;
  /** Length of the whole sound in samples; 0: frames hear nothing. */
  readonly totalSamples: number;
  /** Place of the first sample of `audio` in the whole sound. */
  readonly firstSample: number;
  readonly rowsAhead: number;
  readonly form: LiveForm;
  /** How long it waits for its model's load to begin, in ms; for ever when absent. */
  readonly waitMs?: number | undefined;
}

/** How finished frames of a live request leave the worker: as RGB pixels, or as JPEG of a quality of 1 to 100. */
export type FrameForm = { readonly kind: 'raw' } | { readonly kind: 'jpeg'; readonly quality: number };

/** What a live request gets: finished frames, or the network's own output for each, [3, S, S] float32, BGR 0…1. */
export type LiveForm = FrameForm | { readonly kind: 'mouths' };

/** Loads a model and does nothing with it. */
export interface LoadTask {
  readonly modelId: string;
  /** How long it waits for the load to begin, in ms; for ever when absent. */
  readonly waitMs?: number | undefined;
}

export interface LoadResult {
  readonly modelWasLoaded: boolean;
  /** How long the request waited for its model, 0 when it was loaded. */
  readonly modelLoadMs: number;
}

/** Where the time of a live request went. */
export interface LiveResult extends LoadResult {
  readonly timings: StageTimingsMs;
  readonly silence?: SilenceCounts;
  /** Milliseconds in which any frame was being encoded beside that. */
  readonly encodeMs: number;
  /** When each stage ran, of a task that is traced. */
  readonly spans?: StageSpans;
}

/** What the thread has in memory. */
export interface ThreadModels {
  readonly loaded: ReadonlyMap<string, LoadedModelState>;
  /** What the models take in all, in bytes, and the part of it that is this process's own memory. */
  readonly memory: { readonly usedBytes: number; readonly hostBytes: number };
  /** Execution provider of the networks; null before the first was loaded. */
  readonly provider: string | null;
  /** By id, of every model that was ever loaded. */
  readonly costs: ReadonlyMap<string, ModelCost>;
}

export type ToPipelineThread =
  | { type: 'render'; taskId: number; task: SegmentTask }
  /** The bytes of the task are transferred, not copied. */
  | { type: 'live'; taskId: number; task: LiveTask }
  | { type: 'abort'; taskId: number }
  /** Memory of a mouth that was sent on, transferred: it serves a later one. */
  | { type: 'take-back'; memory: ArrayBuffer }
  | { type: 'load'; taskId: number; task: LoadTask }
  | { type: 'unload'; modelId: string }
  /** The models of a configuration that has changed. */
  | { type: 'configure'; models: ReadonlyMap<string, ModelConfig> }
  | { type: 'close' };

export interface FrameBytes {
  readonly frameIndex: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

export type FromPipelineThread =
  | { type: 'progress'; taskId: number; framesDone: number; latestJpeg: Uint8Array }
  | { type: 'rendered'; taskId: number; result: SegmentResult }
  /** Finished frames of a live task, in order; their bytes are transferred, not copied. */
  | { type: 'frames'; taskId: number; frames: readonly FrameBytes[] }
  /** With the last frames, where these are not told one by one: each message wakes the main thread. */
  | { type: 'live-done'; taskId: number; result: LiveResult; frames?: readonly FrameBytes[] }
  | { type: 'loaded'; taskId: number; result: LoadResult }
  | { type: 'failed'; taskId: number; error: ErrorReport }
  | { type: 'aborted'; taskId: number }
  /** Turns at the network have ended. */
  | { type: 'step' }
  | { type: 'loading'; loading: Loading }
  /** Sent when a model was loaded or unloaded, and every few seconds, since the models' memory changes with use. */
  | ({ type: 'models' } & ThreadModels);
