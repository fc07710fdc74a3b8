import type { FeatureMemory } from '../pipeline/sliding-features.ts';

/** More than the next request of a stream can need: a frame hears 16 windows, and a request has 16 frames. */
const WINDOWS_KEPT = 96;
/** 2 KB a window: 50 MB at most. */
const STREAMS_KEPT = 256;

/**
 * What the audio encoder made of the sound of live streams: the next request of a stream needs most of these windows
 * again. It is a cache: a window that is not found here is encoded again, with the same result.
 */
export class StreamFeatures {
  /** Least recently used first. */
  readonly #streams = new Map<string, Map<number, Float32Array>>();

  /** The memory of one stream. */
  of(streamId: string): FeatureMemory {
    const windows = this.#streams.get(streamId) ?? new Map<number, Float32Array>();
    this.#streams.delete(streamId);
    this.#streams.set(streamId, windows);
    dropOldest(this.#streams, STREAMS_KEPT);
    return {
      get: (firstMelFrame) => windows.get(firstMelFrame),
      set: (firstMelFrame, features) => {
        windows.set(firstMelFrame, features);
        dropOldest(windows, WINDOWS_KEPT);
      },
    };
  }
}

function dropOldest<K>(map: Map<K, unknown>, kept: number): void {
  for (const key of map.keys()) {
    if (map.size <= kept) return;
    map.delete(key);
  }
}
