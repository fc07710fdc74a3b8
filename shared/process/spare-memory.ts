/** Kept for later at most; what is beyond that is left to the garbage collector. */
const MOST_BYTES = 16 * 2 ** 20;
/** Sizes are rounded up to this, so that JPEGs and pictures, which differ a little, share their memory. */
const STEP_BYTES = 16 * 1024;
/** Memory this much larger than what is wanted is not used for it. */
const MOST_SPARE = 2;

/**
 * Memory of one frame that serves a later one: new memory for each would keep the garbage collectors busy, or stay for
 * long, since a collector counts its own small objects and hardly what they refer to.
 */
export class SpareMemory<Memory extends ArrayBufferLike> {
  readonly #make: (byteLength: number) => Memory;
  readonly #mostBytes: number;
  /** The one that came back last is at the end. */
  readonly #free: Memory[] = [];
  #freeBytes = 0;

  constructor(make: (byteLength: number) => Memory, mostBytes = MOST_BYTES) {
    this.#make = make;
    this.#mostBytes = mostBytes;
  }

  /** `byteLength` bytes with arbitrary contents, the caller's own: a view of the start of its buffer. */
  take(byteLength: number): Uint8Array<Memory> {
    const wanted = Math.max(1, Math.ceil(byteLength / STEP_BYTES)) * STEP_BYTES;
    const place = this.#free.findLastIndex((memory) => fits(memory, wanted));
    const [found] = place < 0 ? [] : this.#free.splice(place, 1);
    if (found) this.#freeBytes -= found.byteLength;
    return new Uint8Array(found ?? this.#make(wanted), 0, byteLength);
  }

  /** Takes memory for later. Nobody may read or write it any more. */
  giveBack(memory: Memory): void {
    if (memory.byteLength > this.#mostBytes) return;
    this.#free.push(memory);
    this.#freeBytes += memory.byteLength;
    // What nobody has asked for goes first.
    while (this.#freeBytes > this.#mostBytes) this.#freeBytes -= this.#free.shift()?.byteLength ?? 0;
  }
}

/** Memory that finished frames are written to. It leaves the thread with a frame, and comes back when the frame is sent. */
export type FrameMemory = SpareMemory<ArrayBuffer>;

export function frameMemory(mostBytes?: number): FrameMemory {
  return new SpareMemory((byteLength) => new ArrayBuffer(byteLength), mostBytes);
}

function fits({ byteLength }: ArrayBufferLike, wanted: number): boolean {
  return byteLength >= wanted && byteLength <= wanted * MOST_SPARE;
}
