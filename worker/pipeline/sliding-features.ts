import type { Hearing } from '../../shared/sound/hearing.ts';
import type { AudioEncoder, AudioSource, FeatureRows, IndexRange } from './contract.ts';
import { type FeatureRecipe, recipeFor } from './feature-recipes.ts';
import { gatherFeatureRows } from './pipeline.ts';
import { rowsOfFrames } from './sound-ranges.ts';
import type { StageClock } from './stage-timings.ts';

/** A cache of the features of parts of a sound, by the names that their recipe gives them. */
export interface FeatureMemory {
  /** Read only. */
  get(name: number): Float32Array | undefined;
  /** Only for parts whose features cannot change when more sound comes. */
  set(name: number, features: Float32Array): void;
}

export interface FeatureSource {
  readonly audio: AudioSource;
  readonly encoder: AudioEncoder;
  readonly hearing: Hearing;
  /** Looked up before parts are encoded, and filled with what was encoded. */
  readonly memory?: FeatureMemory | undefined;
}

/** Which parts are encoded together: batch b holds `size` of them from `origin + b · size` on, up to `end`. */
interface PartGrid {
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
  readonly #recipe: FeatureRecipe;
  readonly #rowsAhead: number;
  readonly #signal: AbortSignal;
  readonly #clock: StageClock;
  readonly #grid: PartGrid;
  readonly #batches = new Map<number, Float32Array>();

  /**
   * @param rowsAhead feature rows after a frame's own that it hears.
   * @param run how many parts the encoder takes at once, on a grid over the whole sound; or the frames whose parts it
   * takes all at once. Of no effect where each part has a run of its own.
   */
  constructor(
    parts: FeatureSource,
    rowsAhead: number,
    run: number | IndexRange,
    { signal, clock }: { signal: AbortSignal; clock: StageClock },
  ) {
    this.#parts = parts;
    this.#recipe = recipeFor(parts.hearing, parts);
    this.#rowsAhead = Math.min(rowsAhead, parts.hearing.rowsAfter);
    this.#signal = signal;
    this.#clock = clock;
    this.#grid = this.#gridOf(run);
  }

  /** The rows that the audio inputs of these frames are cut from. @param frames as many a second as there are rows. */
  async rowsFor(frames: IndexRange): Promise<FeatureRows> {
    const rows = this.#rowsOf(frames);
    const parts = this.#partsOf(rows);
    const { origin, size } = this.#grid;
    const first = Math.floor((parts.start - origin) / size);
    for (const batch of this.#batches.keys()) if (batch < first) this.#batches.delete(batch);
    const end = Math.ceil((parts.end - origin) / size);
    for (let batch = first; batch < end; batch++) {
      // What shares no run shares the work before it: neighbouring parts hear much of the same sound.
      if (!this.#batches.has(batch)) await this.#encode(batch, this.#recipe.sharesRuns ? batch + 1 : end);
    }
    const { rowFloats, partFloats } = this.#recipe;
    return gatherFeatureRows(rows, rowFloats, (row) => {
      const place = this.#recipe.placeOf(row);
      const batch = Math.floor((place.part - origin) / size);
      const at = (place.part - origin - batch * size) * partFloats + place.at;
      return (this.#batches.get(batch) as Float32Array).subarray(at, at + rowFloats);
    });
  }

  #rowsOf(frames: IndexRange): IndexRange {
    return rowsOfFrames(frames, this.#recipe.rowTotal, this.#rowsAhead, this.#parts.hearing.rowsBefore);
  }

  /** The parts behind a range of rows; empty for an empty range. */
  #partsOf(rows: IndexRange): IndexRange {
    if (rows.end <= rows.start) return { start: 0, end: 0 };
    return { start: this.#recipe.placeOf(rows.start).part, end: this.#recipe.placeOf(rows.end - 1).part + 1 };
  }

  #gridOf(run: number | IndexRange): PartGrid {
    const { sharesRuns, partTotal } = this.#recipe;
    if (!sharesRuns) return { origin: 0, size: 1, end: partTotal };
    if (typeof run === 'number') return { origin: 0, size: run, end: partTotal };
    const { start, end } = this.#partsOf(this.#rowsOf(run));
    return { origin: start, size: Math.max(1, end - start), end };
  }

  /** Encodes the parts of batches [batch, until). */
  async #encode(batch: number, until: number): Promise<void> {
    const { origin, size, end } = this.#grid;
    const parts = { start: origin + batch * size, end: Math.min(origin + until * size, end) };
    const features = await this.#recalledOrEncoded(parts);
    const batchFloats = size * this.#recipe.partFloats;
    for (let one = batch; one < until; one++) {
      const at = (one - batch) * batchFloats;
      this.#batches.set(one, features.subarray(at, at + batchFloats));
    }
  }

  async #recalledOrEncoded(parts: IndexRange): Promise<Float32Array> {
    const { memory } = this.#parts;
    if (!memory) return await this.#encodeParts(parts);
    const { partFloats } = this.#recipe;
    const features = new Float32Array((parts.end - parts.start) * partFloats);
    const unknown = this.#recall(parts, memory, features);
    if (!unknown) return features;
    const encoded = await this.#encodeParts(unknown);
    features.set(encoded, (unknown.start - parts.start) * partFloats);
    this.#remember(unknown, memory, encoded);
    return features;
  }

  /** Copies the features that are remembered; returns the smallest range that holds all the others. */
  #recall(parts: IndexRange, memory: FeatureMemory, features: Float32Array): IndexRange | undefined {
    let unknown: IndexRange | undefined;
    for (let part = parts.start; part < parts.end; part++) {
      const known = memory.get(this.#recipe.nameOf(part));
      if (known) features.set(known, (part - parts.start) * this.#recipe.partFloats);
      else unknown = { start: unknown?.start ?? part, end: part + 1 };
    }
    return unknown;
  }

  #remember(parts: IndexRange, memory: FeatureMemory, encoded: Float32Array): void {
    const { partFloats } = this.#recipe;
    for (let part = parts.start; part < parts.end; part++) {
      if (this.#recipe.finalAfter(part) > this.#parts.audio.sampleCount) continue;
      const at = (part - parts.start) * partFloats;
      memory.set(this.#recipe.nameOf(part), encoded.slice(at, at + partFloats));
    }
  }

  async #encodeParts(parts: IndexRange): Promise<Float32Array> {
    this.#signal.throwIfAborted();
    return await this.#recipe.encode(parts, this.#clock);
  }
}
