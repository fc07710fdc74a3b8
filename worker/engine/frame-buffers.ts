import { MB } from '../../shared/units.ts';

/** Enough for the few 720p frames that are in use at a time; the garbage collector takes what is above it. */
const KEPT_BYTES = 64 * MB;

/**
 * Pixel buffers of finished frames, used again. With a new buffer for every frame, both threads of a GPU process are
 * busy collecting garbage: V8 stops for a full collection after every 32 MB or so of new buffers.
 */
export class FrameBuffers {
  readonly #free: Uint8Array[] = [];
  #freeBytes = 0;

  /** A buffer of exactly that length; its contents are arbitrary. */
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
