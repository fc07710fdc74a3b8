import { MB } from '../../shared/units.ts';

/** Enough for a few 720p frames on their way; more is left to the garbage collector. */
const KEPT_BYTES = 64 * MB;

/**
 * Memory of finished frames, used again. A buffer of its own for every frame keeps both threads of a GPU process busy
 * collecting garbage: V8 stops for a full collection whenever buffers of some 32 MB have come.
 */
export class FrameBuffers {
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;

  /** A buffer of exactly that length, which holds anything. */
  take(byteLength: number): Uint8Array {
    const found = this.#free.findLastIndex((buffer) => buffer.byteLength === byteLength);
    if (found < 0) return new Uint8Array(byteLength);
    this.#freeBytes -= byteLength;
    return this.#free.splice(found, 1)[0] as Uint8Array;
  }

  /** Takes a buffer back that nobody reads any more. */
  giveBack(buffer: Uint8Array): void {
    this.#free.push(buffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > KEPT_BYTES) this.#freeBytes -= this.#free.shift()?.byteLength ?? 0;
  }
}
