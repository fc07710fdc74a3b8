import type { ErrorReport } from '../../shared/errors.ts';
import type { LoadedModelState, ModelCost } from '../../shared/heartbeat.ts';
import type { SegmentReceipt } from '../../shared/renders/record.ts';
import type { LiveBytes } from '../live/live-inputs.ts';
import type { IndexRange, RgbImage } from '../pipeline/contract.ts';
import type { StageTimingsMs } from '../pipeline/stage-timings.ts';
import type { LiveBatchSettings } from './live-batches.ts';
import type { ModelPaths } from './loaded-model.ts';

/**
 * All that passes between a GPU process's main thread, which talks to Redis, and its pipeline thread, which computes.
 * One run of a network blocks its thread for as long as it takes: so the two are apart.
 */

/** Handed over at the start of the thread. */
export interface PipelineThreadSettings {
  readonly storageRoot: string;
  readonly models: ReadonlyMap<string, ModelPaths>;
  /** ONNX Runtime execution providers, in the order in which they are tried. */
  readonly providers: readonly string[];
  readonly intraOpThreads: number;
  readonly interOpThreads: number;
  /** Background pictures that each avatar keeps decoded. */
  readonly cachedFrames: number;
  readonly liveBatches: LiveBatchSettings;
}

/** A segment of a render, with everything that decides what its pictures look like. */
export interface SegmentTask {
  readonly renderId: string;
  readonly segmentIndex: number;
  readonly modelId: string;
  readonly frames: IndexRange;
  readonly startFrameIndex: number;
  readonly totalFrames: number;
  readonly batchFrames: number;
  readonly encoderBatchWindows: number;
  readonly output:
    | { readonly kind: 'mp4'; readonly crf: number; readonly preset: string }
    | { readonly kind: 'frames'; readonly jpegQuality: number };
}

/** What the thread knows of a finished segment; the rest of its receipt is known to the main thread. */
export type SegmentResult = Pick<
  SegmentReceipt,
  'provider' | 'width' | 'height' | 'wall_ms' | 'timings_ms' | 'model_files'
>;

/** The frames of a live request, with what came in for them. */
export interface LiveTask extends LiveBytes {
  readonly requestId: string;
  /** The stream that the request is a part of. */
  readonly streamId?: string | undefined;
  readonly modelId: string;
  readonly frames: IndexRange;
  readonly startFrameIndex: number;
  /** Length of the whole sound in samples; 0: frames hear nothing. */
  readonly totalSamples: number;
  /** Place of the first sample of `audio` in the whole sound. */
  readonly firstSample: number;
  readonly rowsAhead: number;
}

/** Where the time of a live request went. */
export interface LiveResult {
  readonly modelWasLoaded: boolean;
  /** How long the request waited for its model, 0 when it was loaded. */
  readonly modelLoadMs: number;
  readonly timings: StageTimingsMs;
}

export type ToPipelineThread =
  | { type: 'render'; taskId: number; task: SegmentTask }
  /** The bytes of the task are handed over, not copied. */
  | { type: 'live'; taskId: number; task: LiveTask }
  | { type: 'abort'; taskId: number }
  | { type: 'load'; taskId: number; modelId: string }
  | { type: 'unload'; modelId: string }
  | { type: 'close' };

export type FromPipelineThread =
  | { type: 'progress'; taskId: number; framesDone: number; latestJpeg: Uint8Array }
  | { type: 'rendered'; taskId: number; result: SegmentResult }
  /** A finished frame of a live task; its pixels are handed over, not copied. */
  | { type: 'frame'; taskId: number; frameIndex: number; image: RgbImage }
  | { type: 'live-done'; taskId: number; result: LiveResult }
  | { type: 'loaded'; taskId: number }
  | { type: 'failed'; taskId: number; error: ErrorReport }
  | { type: 'aborted'; taskId: number }
  /**
   * Sent whenever it changes: the models in memory, the provider that their networks run on, and the costs of all models
   * that have ever been loaded.
   */
  | {
      type: 'models';
      loaded: ReadonlyMap<string, LoadedModelState>;
      provider: string | null;
      costs: ReadonlyMap<string, ModelCost>;
    };
