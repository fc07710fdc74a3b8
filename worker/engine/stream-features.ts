import type { FeatureMemory } from '../pipeline/sliding-features.ts';

/** More than the next request of a stream can need: a frame hears 16 rows, and a request has 16 frames. */
const PARTS_KEPT = 48;
/** Of `ave` with 2 KB a part 25 MB at most; of the other kinds, with 32 and 64 KB, fewer streams. */
const STREAMS_KEPT = 256;
const FLOATS_KEPT = 24 * 2 ** 20;

/** What is kept of the sound of one stream, oldest first. */
interface KeptParts {
  readonly parts: Map<number, Float32Array>;
  floats: number;
}

/**
 * What the audio encoder made of the sound of live streams: the next request of a stream needs most of these parts
 * again. It is a cache: a part that is not found here is encoded again, with the same result.
 */
export class StreamFeatures {
  /** Least recently used first. */
  readonly #streams = new Map<string, KeptParts>();

  /** The memory of one stream. */
  of(streamId: string): FeatureMemory {
    const kept = this.#streams.get(streamId) ?? { parts: new Map<number, Float32Array>(), floats: 0 };
    this.#streams.delete(streamId);
    this.#streams.set(streamId, kept);
    this.#dropOldest();
    return {
      get: (name) => kept.parts.get(name),
      set: (name, features) => keep(kept, name, features),
    };
  }

  #dropOldest(): void {
    let floats = 0;
    for (const kept of this.#streams.values()) floats += kept.floats;
    for (const [streamId, kept] of this.#streams) {
      if (this.#streams.size <= 1 || (this.#streams.size <= STREAMS_KEPT && floats <= FLOATS_KEPT)) return;
      floats -= kept.floats;
      this.#streams.delete(streamId);
    }
  }
}

function keep(kept: KeptParts, name: number, features: Float32Array): void {
  kept.floats += features.length - (kept.parts.get(name)?.length ?? 0);
  kept.parts.set(name, features);
  for (const [oldest, { length }] of kept.parts) {
    if (kept.parts.size <= PARTS_KEPT) return;
    kept.parts.delete(oldest);
    kept.floats -= length;
  }
}
