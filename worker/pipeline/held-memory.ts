import type { HeldMemory, TakeMemory } from './contract.ts';

/** Memory that counts its holders, and is free when the last one has released it. */
export class CountedMemory implements HeldMemory {
  readonly bytes: Uint8Array;
  readonly #onFree: () => void;
  #holders = 0;

  /** @param onFree called when nobody holds it any more; it may be handed out again then. */
  constructor(bytes: Uint8Array, onFree: () => void = () => {}) {
    this.bytes = bytes;
    this.#onFree = onFree;
  }

  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    if (this.#holders === 0) throw new RangeError('memory was released that nobody holds');
    this.#holders -= 1;
    if (this.#holders === 0) this.#onFree();
  }
}

/** New memory each time, for the garbage collector. */
export function newMemory(byteLength: number): TakeMemory {
  return async () => {
    const memory = new CountedMemory(new Uint8Array(byteLength));
    memory.hold();
    return memory;
  };
}
