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

/**
 * Gives an array's memory back to the allocator at once, unless it is a part of a buffer, or shared by threads. Nobody may
 * read it any more. The garbage collector would let a hundred of them pile up, and stop the thread to clear them away.
 */
export function freeNow({ buffer, byteLength }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}

/** New memory each time, for the garbage collector. */
export function newMemory(byteLength: number): TakeMemory {
  return async () => {
    const memory = new CountedMemory(new Uint8Array(byteLength));
    memory.hold();
    return memory;
  };
}
