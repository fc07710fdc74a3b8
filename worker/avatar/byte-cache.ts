/** A least-recently-used cache that is bounded in bytes. */

interface Kept<V> {
  readonly value: V;
  readonly sizeBytes: number;
}

/** Invariant: `usedBytes` is the sum of the sizes of what is kept. Nothing is dropped but by `shrink`. */
export class ByteCache<V> {
  /** In order of use, least recent first. */
  readonly #kept = new Map<number, Kept<V>>();
  #usedBytes = 0;

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get count(): number {
    return this.#kept.size;
  }

  /** What is kept under `key`, which is the most recently used from now on. */
  get(key: number): V | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.value;
  }

  set(key: number, value: V, sizeBytes: number): void {
    this.#drop(key);
    this.#kept.set(key, { value, sizeBytes });
    this.#usedBytes += sizeBytes;
  }

  /** Drops the least recently used until the rest is within both bounds. */
  shrink(maxBytes: number, maxCount = Number.POSITIVE_INFINITY): void {
    for (const key of this.#kept.keys()) {
      if (this.#usedBytes <= maxBytes && this.#kept.size <= maxCount) return;
      this.#drop(key);
    }
  }

  #drop(key: number): void {
    this.#usedBytes -= this.#kept.get(key)?.sizeBytes ?? 0;
    this.#kept.delete(key);
  }
}
