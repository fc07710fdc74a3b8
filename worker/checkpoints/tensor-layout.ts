/** A tensor as a checkpoint describes it, and its values read out of its storage. Nothing is read before that. */

import { Unreadable } from './unreadable.ts';

/** Bytes of a value, by the name that PyTorch gives the type. */
export const ELEMENT_BYTES = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
  bool: 1,
} as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

/** Memory that several tensors may share: those of tied weights. */
export interface Storage {
  readonly key: string;
  readonly type: ElementType;
  /** Values in it. */
  readonly length: number;
}

export class TensorLayout {
  readonly storage: Storage;
  /** The first value, counted in values from the storage's begin. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** Steps in values along each axis. */
  readonly strides: readonly number[];

  /** @throws Unreadable when it does not lie inside its storage. */
  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[]) {
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
    const words = `a tensor [${shape.join(', ')}] in it`;
    if (shape.length !== strides.length || shape.length > MAX_AXES) throw new Unreadable(`${words} has no clear shape`);
    if (!Number.isSafeInteger(this.length)) throw new Unreadable(`${words} has too many values`);
    const last = shape.reduce((at, size, axis) => at + (size - 1) * (strides[axis] ?? 0), offset);
    if (this.length > 0 && last >= storage.length) {
      throw new Unreadable(`${words} reaches beyond its storage of ${storage.length} values`);
    }
  }

  get length(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  /**
   * Its values in the order of its axes, as float32.
   * @param bytes those of its storage.
   * @throws Unreadable when it has no floating-point values, or the storage is shorter than it says.
   */
  values(bytes: Buffer<ArrayBuffer>): Float32Array<ArrayBuffer> {
    const { storage, shape, strides } = this;
    if (bytes.length < storage.length * ELEMENT_BYTES[storage.type]) {
      throw new Unreadable(`the storage "${storage.key}" in it has ${bytes.length} bytes for ${storage.length} values`);
    }
    if (this.length > MAX_VALUES) throw new Unreadable(`a tensor in it has ${this.length} values`);
    const read = READERS[storage.type];
    if (read === undefined) throw new Unreadable(`a tensor in it holds ${storage.type}, not floating-point numbers`);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const values = new Float32Array(this.length);
    const index = shape.map(() => 0);
    let at = this.offset;
    for (let place = 0; place < values.length; place++) {
      values[place] = read(view, at);
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        const [next, stride] = [(index[axis] ?? 0) + 1, strides[axis] ?? 0];
        at += stride;
        index[axis] = next;
        if (next < (shape[axis] ?? 0)) break;
        at -= next * stride;
        index[axis] = 0;
      }
    }
    return values;
  }
}

/** Largest tensor that is read: the layers of the networks have 4.7 million values at most. */
export const MAX_VALUES = 1 << 26;
const MAX_AXES = 8;

type Reader = (view: DataView, index: number) => number;

const READERS: Partial<Record<ElementType, Reader>> = {
  float64: (view, index) => view.getFloat64(index * 8, true),
  float32: (view, index) => view.getFloat32(index * 4, true),
  float16: (view, index) => float16(view.getUint16(index * 2, true)),
  bfloat16: (view, index) => bfloat16(view.getUint16(index * 2, true)),
};

const scratch = new DataView(new ArrayBuffer(4));

/** The upper half of a float32. */
function bfloat16(bits: number): number {
  scratch.setUint32(0, bits * 0x10000);
  return scratch.getFloat32(0);
}

/** A sign, 5 bits of exponent, 10 of mantissa. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
