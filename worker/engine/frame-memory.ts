/** Kept for later frames at most; what is beyond that is left to the garbage collector. */
const MOST_BYTES = 16 * 2 ** 20;
/** Sizes are rounded up to this, so that JPEGs, which differ a little, share their memory. */
const STEP_BYTES = 16 * 1024;
/** Memory this much larger than a frame is not used for it. */
const MOST_SPARE = 2;

/**
 * Memory that finished frames are written to. It leaves the compositor thread with a frame, comes back when the frame is
 * sent or written, and serves a later frame: new memory for each would keep the garbage collectors busy.
 */
export class FrameMemory {
  readonly #mostBytes: number;
  /** The one that came back last is at the end. */
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  constructor(mostBytes = MOST_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** `byteLength` bytes with arbitrary contents, the caller's own: a view of the start of its buffer. */
  take(byteLength: number): Uint8Array<ArrayBuffer> {
    const wanted = Math.max(1, Math.ceil(byteLength / STEP_BYTES)) * STEP_BYTES;
    const place = this.#free.findLastIndex((memory) => fits(memory, wanted));
    const [found] = place < 0 ? [] : this.#free.splice(place, 1);
    if (found) this.#freeBytes -= found.byteLength;
    return new Uint8Array(found ?? new ArrayBuffer(wanted), 0, byteLength);
  }

  /** Takes memory for later frames. Nobody may read or write it any more. */
  giveBack(memory: ArrayBuffer): void {
    if (memory.byteLength > this.#mostBytes) return;
    this.#free.push(memory);
    this.#freeBytes += memory.byteLength;
    // What nobody has asked for goes first.
    while (this.#freeBytes > this.#mostBytes) this.#freeBytes -= this.#free.shift()?.byteLength ?? 0;
  }
}

function fits({ byteLength }: ArrayBuffer, wanted: number): boolean {
  return byteLength >= wanted && byteLength <= wanted * MOST_SPARE;
}
