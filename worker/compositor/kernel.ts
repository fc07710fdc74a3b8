/** The compositor's kernel and its memory. */
import { startKernel } from '../../shared/wasm-kernel.ts';
import {
  CHROMA_AC_CODES,
  CHROMA_DC_CODES,
  type HuffmanCodes,
  LUMA_AC_CODES,
  LUMA_DC_CODES,
  quantisationSteps,
  ZIGZAG,
} from './jpeg-tables.ts';

const WASM = new URL('./compositor.kernel.wasm', import.meta.url);
/** The kernel reads and writes whole vectors, up to this far past the end of what it is given. */
const SLACK_BYTES = 64;
/** Codes of one table, in bytes. */
const CODES_BYTES = 1024;
/** The transform leaves coefficients this many times too large. */
const TRANSFORM_SCALE = 8;
/** Reciprocals are this much too large, so that a half rounds away from zero. */
const ROUND_HALF_UP = 1 + 2 ** -20;
/** Memory is made this much larger than what is asked for, so that it is made once for pictures of several sizes. */
const SPARE = 1.25;

interface Constant {
  readonly value: number;
}

/** Places in the kernel's memory that do not depend on the picture, see layout.as.ts. */
type Place = ('LUMA' | 'CHROMA' | 'RECIPROCALS' | 'ZIGZAG' | 'UNZIGZAG') | ('ROWS' | 'MOUTH' | 'RIM' | 'CROP' | 'FREE');

/** Functions of compositor.kernel.as.ts. Addresses and strides are in bytes. */
export interface KernelFunctions {
  joinCrop(size: number): void;
  spread(...[from, length, to, before, between, gapBytes, gaps]: number[]): void;
  mix(...[from, weights, to, toStride, width, height]: number[]): void;
  resize(...[from, fromStride, width, height, to, toStride, targetWidth, targetHeight]: number[]): void;
  encodeRow(...[pixels, width, height, areaX1, areaX2, to]: number[]): number;
  patch(...[jpeg, pixels, width, height, to]: number[]): number;
}

type Exports = KernelFunctions & Readonly<Record<Place, Constant>>;

export class CompositorKernel {
  #exports: Exports;
  #bytes: Uint8Array;
  /** The quality whose steps are in the memory. */
  #quality: number | undefined;

  constructor() {
    // Reading a constant takes an instance; the first one is only large enough for those.
    const { exports } = startKernel<Exports>(WASM, 0);
    ({ exports: this.#exports, bytes: this.#bytes } = start(exports.FREE.value));
  }

  get run(): KernelFunctions {
    return this.#exports;
  }

  /** The whole memory, until `reserve` is called. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Address of one of the fixed places. */
  at(place: Place): number {
    return this.#exports[place].value;
  }

  /**
   * Makes room for `lengths` bytes each. What was in the memory may be gone.
   * @returns their addresses.
   */
  reserve(...lengths: readonly number[]): number[] {
    const addresses: number[] = [];
    let end = this.at('FREE');
    for (const length of lengths) {
      addresses.push(end);
      end += aligned(length + SLACK_BYTES);
    }
    if (end > this.#bytes.length) {
      ({ exports: this.#exports, bytes: this.#bytes } = start(end * SPARE));
      this.#quality = undefined;
    }
    return addresses;
  }

  /** A view of 32-bit numbers. */
  words(address: number, count: number): Int32Array {
    return new Int32Array(this.#bytes.buffer, address, count);
  }

  /** Sets the steps that blocks are quantised with. */
  setQuality(quality: number): void {
    if (quality === this.#quality) return;
    const { luma, chroma } = quantisationSteps(quality);
    this.#setSteps('LUMA', luma);
    this.#setSteps('CHROMA', chroma);
    this.#quality = quality;
  }

  #setSteps(component: 'LUMA' | 'CHROMA', steps: Uint8Array): void {
    const address = this.at(component) + this.at('RECIPROCALS');
    const reciprocals = new Float32Array(this.#bytes.buffer, address, steps.length);
    for (const [place, step] of steps.entries()) reciprocals[place] = ROUND_HALF_UP / (step * TRANSFORM_SCALE);
  }
}

/** An instance whose tables are filled, all but those of the quality. */
function start(byteLength: number): { exports: Exports; bytes: Uint8Array } {
  const { exports, memory } = startKernel<Exports>(WASM, byteLength);
  const bytes = new Uint8Array(memory);
  const setCodes = (component: Constant, dc: HuffmanCodes, ac: HuffmanCodes) => {
    new Int32Array(memory, component.value, dc.length).set(dc);
    new Int32Array(memory, component.value + CODES_BYTES, ac.length).set(ac);
  };
  setCodes(exports.LUMA, LUMA_DC_CODES, LUMA_AC_CODES);
  setCodes(exports.CHROMA, CHROMA_DC_CODES, CHROMA_AC_CODES);
  bytes.set(ZIGZAG, exports.ZIGZAG.value);
  for (const [order, place] of ZIGZAG.entries()) bytes[exports.UNZIGZAG.value + place] = order;
  return { exports, bytes };
}

function aligned(length: number): number {
  return Math.ceil(length / SLACK_BYTES) * SLACK_BYTES;
}
