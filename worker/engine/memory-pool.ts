import type { HeldMemory } from '../pipeline/contract.ts';
import { CountedMemory } from '../pipeline/held-memory.ts';

/**
 * Memory that the pipeline thread writes and the compositor thread reads, without a copy. There is a bounded number of
 * pieces, used again and again: when all are held, the network waits until the compositor has caught up.
 */
export class MemoryPool {
  readonly #byteLength: number;
  readonly #most: number;
  readonly #free: HeldMemory[] = [];
  readonly #waiting: ((memory: HeldMemory) => void)[] = [];
  #made = 0;

  /**
   * @param byteLength of each piece.
   * @param most pieces, ≥ 1. Two keep network and compositor busy, each with its own; more let one run ahead.
   */
  constructor(byteLength: number, most: number) {
    this.#byteLength = byteLength;
    this.#most = most;
  }

  /**
   * A piece that nobody holds; the caller is its first holder. Waits while all are held.
   * @throws `signal.reason` once the signal is aborted.
   */
  async take(signal: AbortSignal): Promise<HeldMemory> {
    signal.throwIfAborted();
    const memory = this.#free.pop() ?? this.#make() ?? (await this.#nextFree(signal));
    memory.hold();
    return memory;
  }

  #make(): HeldMemory | undefined {
    if (this.#made === this.#most) return undefined;
    this.#made += 1;
    const bytes = new Uint8Array(new SharedArrayBuffer(this.#byteLength));
    const memory: HeldMemory = new CountedMemory(bytes, () => this.#giveOn(memory));
    return memory;
  }

  #giveOn(memory: HeldMemory): void {
    const first = this.#waiting.shift();
    if (first) first(memory);
    else this.#free.push(memory);
  }

  async #nextFree(signal: AbortSignal): Promise<HeldMemory> {
    const { promise, resolve, reject } = Promise.withResolvers<HeldMemory>();
    const leave = () => {
      const place = this.#waiting.indexOf(resolve);
      // Not in line any more: a piece is on its way to the caller, who holds it then.
      if (place < 0) return;
      this.#waiting.splice(place, 1);
      reject(signal.reason);
    };
    this.#waiting.push(resolve);
    signal.addEventListener('abort', leave, { once: true });
    return await promise.finally(() => signal.removeEventListener('abort', leave));
  }
}

/** Pools that last from task to task, one for each use: making and clearing their memory again would cost every task. */
export class LastingPools {
  readonly #pools = new Map<
    string,
    { readonly byteLength: number; readonly most: number; readonly pool: MemoryPool }
  >();

  /** The pool of a use. Its pieces are of the size and number that was asked for last. */
  of(use: 'mouths' | 'planes' | 'pictures', byteLength: number, most: number): MemoryPool {
    const known = this.#pools.get(use);
    if (known?.byteLength === byteLength && known.most === most) return known.pool;
    const pool = new MemoryPool(byteLength, most);
    this.#pools.set(use, { byteLength, most, pool });
    return pool;
  }
}

/** Frames that wait for the compositor or are made, about: network and compositor keep each other waiting less. */
const FRAMES_AHEAD = 16;
/** One that the network writes, one that the compositor reads, and one between them. */
const FEWEST_RUNS = 3;

/** The pool for the mouths of runs of `frames` frames at most, of `mouthBytes` bytes each. */
export function mouthPool(frames: number, mouthBytes: number, pools = new LastingPools()): MemoryPool {
  return pools.of('mouths', frames * mouthBytes, Math.max(FEWEST_RUNS, Math.ceil(FRAMES_AHEAD / frames)));
}
