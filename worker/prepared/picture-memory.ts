import { SpareMemory } from '../../shared/process/spare-memory.ts';
import type { PreparedPicture } from '../compositor/contract.ts';

/** Memory of the pictures that are read for one frame and not kept, of all avatars of a thread; other threads see it. */
export class PictureMemory {
  readonly #spare = new SpareMemory((byteLength) => new SharedArrayBuffer(byteLength));
  readonly #lent = new WeakMap<PreparedPicture, SharedArrayBuffer>();

  /** At least so many bytes, with arbitrary contents. */
  take(byteLength: number): SharedArrayBuffer {
    return this.#spare.take(byteLength).buffer;
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
