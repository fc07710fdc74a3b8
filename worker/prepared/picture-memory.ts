import { SpareMemory } from '../../shared/process/spare-memory.ts';
import type { PreparedPicture } from '../compositor/contract.ts';

/** Of what is read from files: pictures of 8K with a large mouth have more, which is not kept. */
const KEPT_READ_BYTES = 16 * 2 ** 20;
/** Pictures of an avatar differ a little. */
const ROOM_TO_GROW = 1.25;

/** Memory of the pictures that are read for one frame and not kept, of all avatars of a thread; other threads see it. */
export class PictureMemory {
  readonly #spare = new SpareMemory((byteLength) => new SharedArrayBuffer(byteLength));
  #read = new Uint8Array(0);
  readonly #lent = new WeakMap<PreparedPicture, SharedArrayBuffer>();

  /** At least so many bytes, with arbitrary contents. */
  take(byteLength: number): SharedArrayBuffer {
    return this.#spare.take(byteLength).buffer;
  }

  /** So many bytes for what is read from a file and copied at once: the next call may give the same memory. */
  forReading(byteLength: number): Uint8Array {
    if (byteLength > KEPT_READ_BYTES) return new Uint8Array(byteLength);
    if (this.#read.length < byteLength) this.#read = new Uint8Array(byteLength * ROOM_TO_GROW);
    return this.#read.subarray(0, byteLength);
  }

  /** Remembers that a picture which is not kept lies in `memory`, nothing else with it. */
  lend(picture: PreparedPicture, memory: SharedArrayBuffer): void {
    this.#lent.set(picture, memory);
  }

  /** Nobody reads the picture any more. Does nothing for one that is kept; one of which nobody says it is left to V8. */
  giveBack(picture: PreparedPicture): void {
    const memory = this.#lent.get(picture);
    if (memory === undefined) return;
    this.#lent.delete(picture);
    this.#spare.giveBack(memory);
  }
}
