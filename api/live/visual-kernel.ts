/** What `visual-bytes.ts` defines, with SIMD (`visual-bytes.kernel.as.ts`). */
import { startKernel } from '../../shared/wasm-kernel.ts';

/** Floats in one call of `toBytes`: few enough that they stay in the processor's cache. */
export const MOST_FLOATS = 16_384;
/** Largest side of a network's picture. */
const MOST_SIZE = 320;
const STEP = 16;
const MASK_INSET = 5;
const FLOAT_BYTES = 4;

const FLOATS_AT = 0;
const BYTES_AT = FLOATS_AT + (MOST_FLOATS + STEP) * FLOAT_BYTES;
const MASK_AT = BYTES_AT + MOST_FLOATS + STEP;
const PLANES_AT = MASK_AT + 2 * MOST_SIZE;
const CROP_AT = PLANES_AT + 6 * MOST_SIZE ** 2;
const END = CROP_AT + 3 * MOST_SIZE ** 2;

interface Exports {
  toBytes(floats: number, count: number, bytes: number): number;
  firstNotFinite(floats: number, count: number): number;
  toCrop(planes: number, size: number, crop: number, mask: number): number;
}

/** One instance serves a thread: every call begins with what it is given, and leaves nothing for the next. */
class VisualKernel {
  readonly #exports: Exports;
  readonly #memory: Uint8Array;
  #maskSize = 0;

  constructor() {
    const { exports, memory } = startKernel<Exports>(new URL('./visual-bytes.kernel.wasm', import.meta.url), END);
    this.#exports = exports;
    this.#memory = new Uint8Array(memory);
  }

  /**
   * `toBytes` of visual-bytes.ts.
   * @param floats little-endian, at any place in memory, whole numbers of float32, MOST_FLOATS at most.
   */
  toBytes(floats: Uint8Array, bytes: Uint8Array): number {
    const count = this.#takeFloats(floats);
    const off = this.#exports.toBytes(FLOATS_AT, count, BYTES_AT);
    bytes.set(this.#memory.subarray(BYTES_AT, BYTES_AT + count));
    return off;
  }

  /** `firstNotFinite` of visual-bytes.ts. @param floats as for `toBytes`. */
  firstNotFinite(floats: Uint8Array): number {
    return this.#exports.firstNotFinite(FLOATS_AT, this.#takeFloats(floats));
  }

  /** Whether `toCrop` takes pictures of this side. */
  fits(size: number): boolean {
    return size >= STEP && size <= MOST_SIZE && size % STEP === 0;
  }

  /** `toCrop` of visual-bytes.ts, for sides that fit. */
  toCrop(planes: Uint8Array, size: number, crop: Uint8Array): boolean {
    if (!this.fits(size) || planes.length !== 6 * size * size)
      throw new RangeError(`${planes.length} bytes of ${size}²`);
    this.#layMask(size);
    this.#memory.set(planes, PLANES_AT);
    if (this.#exports.toCrop(PLANES_AT, size, CROP_AT, MASK_AT) === 0) return false;
    crop.set(this.#memory.subarray(CROP_AT, CROP_AT + 3 * size * size));
    return true;
  }

  #takeFloats(floats: Uint8Array): number {
    const count = floats.length / FLOAT_BYTES;
    if (count > MOST_FLOATS || !Number.isInteger(count)) throw new RangeError(`${floats.length} bytes of floats`);
    this.#memory.set(floats, FLOATS_AT);
    return count;
  }

  /** A row that is shown whole, and one in which only the margins beside the mouth are. */
  #layMask(size: number): void {
    if (size === this.#maskSize) return;
    this.#memory.fill(255, MASK_AT, MASK_AT + 2 * size);
    this.#memory.fill(0, MASK_AT + size + MASK_INSET, MASK_AT + 2 * size - MASK_INSET);
    this.#maskSize = size;
  }
}

export const visualKernel = new VisualKernel();
