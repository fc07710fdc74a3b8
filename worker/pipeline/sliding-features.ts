import { FEATURE_SIZE, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import type { AudioEncoder, AudioSource, FeatureRows, IndexRange } from './contract.ts';
import { encodeWindows, gatherFeatureRows } from './pipeline.ts';
import {
  melFrameCount,
  paddedSampleCount,
  rowsOfFrames,
  samplesOfMelFrames,
  windowCount,
  windowStart,
  windowsOfRows,
} from './sound-ranges.ts';
import type { StageClock } from './stage-timings.ts';

/** A cache of the features of windows, by the first mel frame of the window. */
export interface FeatureMemory {
  /** [512], read only. */
  get(firstMelFrame: number): Float32Array | undefined;
  /** Only for windows whose features cannot change when more sound comes. */
  set(firstMelFrame: number, features: Float32Array): void;
}

export interface FeatureSource {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
  /** Looked up before windows are encoded, and filled with what was encoded. */
  readonly memory?: FeatureMemory | undefined;
}

/** Which windows share a run of the encoder: batch b holds `size` windows from `origin + b · size` on, up to `end`. */
interface WindowGrid {
  readonly origin: number;
  readonly size: number;
  readonly end: number;
}

/**
 * Speech features, encoded as frames need them, batch by batch of a grid; batches that no later frame needs are
 * dropped.
 */
export class SlidingFeatures {
  readonly #parts: FeatureSource;
  readonly #rowsAhead: number;
  readonly #signal: AbortSignal;
  readonly #clock: StageClock;
  readonly #melFrameTotal: number;
  readonly #windowTotal: number;
  readonly #grid: WindowGrid;
  readonly #batches = new Map<number, Float32Array>();

  /**
   * @param rowsAhead feature rows after a frame's own that it hears, 0 … 7.
   * @param run how many windows the encoder takes at once, on a grid over the whole sound; or the frames whose windows
   * it takes all at once.
   */
  constructor(
    parts: FeatureSource,
    rowsAhead: number,
    run: number | IndexRange,
    { signal, clock }: { signal: AbortSignal; clock: StageClock },
  ) {
    this.#parts = parts;
    this.#rowsAhead = rowsAhead;
    this.#signal = signal;
    this.#clock = clock;
    this.#melFrameTotal = melFrameCount(paddedSampleCount(parts.audio.sampleCount));
    this.#windowTotal = windowCount(this.#melFrameTotal);
    this.#grid = this.#gridOf(run);
  }

  /** The rows that the audio inputs of these frames are cut from. */
  async rowsFor(frames: IndexRange): Promise<FeatureRows> {
    const rows = rowsOfFrames(frames, this.#windowTotal, this.#rowsAhead);
    const windows = windowsOfRows(rows, this.#windowTotal);
    const { origin, size } = this.#grid;
    const first = Math.floor((windows.start - origin) / size);
    for (const batch of this.#batches.keys()) if (batch < first) this.#batches.delete(batch);
    for (let batch = first; origin + batch * size < windows.end; batch++) {
      if (!this.#batches.has(batch)) this.#batches.set(batch, await this.#encode(batch));
    }
    return gatherFeatureRows(rows, this.#windowTotal, (window) => {
      const batch = Math.floor((window - origin) / size);
      const at = (window - origin - batch * size) * FEATURE_SIZE;
      return (this.#batches.get(batch) as Float32Array).subarray(at, at + FEATURE_SIZE);
    });
  }

  #gridOf(run: number | IndexRange): WindowGrid {
    if (typeof run === 'number') return { origin: 0, size: run, end: this.#windowTotal };
    const { start, end } = windowsOfRows(rowsOfFrames(run, this.#windowTotal, this.#rowsAhead), this.#windowTotal);
    return { origin: start, size: Math.max(1, end - start), end };
  }

  async #encode(batch: number): Promise<Float32Array> {
    const start = this.#grid.origin + batch * this.#grid.size;
    const windows = { start, end: Math.min(start + this.#grid.size, this.#grid.end) };
    const { memory } = this.#parts;
    if (!memory) return await this.#encodeWindows(windows);
    const features = new Float32Array((windows.end - windows.start) * FEATURE_SIZE);
    const unknown = this.#recall(windows, memory, features);
    if (!unknown) return features;
    const encoded = await this.#encodeWindows(unknown);
    features.set(encoded, (unknown.start - windows.start) * FEATURE_SIZE);
    this.#remember(unknown, memory, encoded);
    return features;
  }

  /** Copies the features that are remembered; returns the smallest range that holds all the others. */
  #recall(windows: IndexRange, memory: FeatureMemory, features: Float32Array): IndexRange | undefined {
    let unknown: IndexRange | undefined;
    for (let window = windows.start; window < windows.end; window++) {
      const known = memory.get(windowStart(window, this.#melFrameTotal));
      if (known) features.set(known, (window - windows.start) * FEATURE_SIZE);
      else unknown = { start: unknown?.start ?? window, end: window + 1 };
    }
    return unknown;
  }

  #remember(windows: IndexRange, memory: FeatureMemory, encoded: Float32Array): void {
    for (let window = windows.start; window < windows.end; window++) {
      if (!this.#isFinal(window)) continue;
      const at = (window - windows.start) * FEATURE_SIZE;
      memory.set(windowStart(window, this.#melFrameTotal), encoded.subarray(at, at + FEATURE_SIZE));
    }
  }

  async #encodeWindows(windows: IndexRange): Promise<Float32Array> {
    this.#signal.throwIfAborted();
    return await encodeWindows(this.#parts, windows, this.#clock);
  }

  /** Whether a window lies within the sound so far, so that more sound cannot change it. */
  #isFinal(window: number): boolean {
    const start = windowStart(window, this.#melFrameTotal);
    const { end } = samplesOfMelFrames({ start, end: start + WINDOW_MEL_FRAMES }, Number.POSITIVE_INFINITY);
    return end <= this.#parts.audio.sampleCount;
  }
}
