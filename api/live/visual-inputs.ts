import { setImmediate as immediate } from 'node:timers/promises';
import { VISUAL_FORMS, type VisualForm, writeFloats } from '../../shared/live/visual-frames.ts';
import { NOT_DIVIDED, NOT_MULTIPLIED } from './visual-bytes.ts';
import { MOST_FLOATS, visualKernel } from './visual-kernel.ts';

const FLOAT_BYTES = 4;
const MOST_BYTES = MOST_FLOATS * FLOAT_BYTES;
/** What is packed before the event loop is let through: about a millisecond's work. */
const SLICE_BYTES = 2 ** 21;
const NOTHING = Buffer.alloc(0);

/** The forms that need no knowledge of S. */
type FormOfValues = Exclude<VisualForm, 'crops'>;

/** A value that is no number that a network can take, and its place among all. */
export interface NotFinite {
  readonly index: number;
  readonly value: number;
}

/**
 * The visual inputs of a request, float32 little-endian, as they come in: each value is packed to the byte that it was
 * made from while it is in the processor's cache, so that the floats are never in memory together. Once a value is none
 * of a byte's, all are floats again.
 */
export class VisualInputs {
  /** Bytes of all floats, as they were announced. */
  readonly byteLength: number;
  #form: FormOfValues = 'planes';
  /** Bits NOT_DIVIDED and NOT_MULTIPLIED, as far as the values have shown it. */
  #off = 0;
  #bytes: Buffer<ArrayBuffer> = NOTHING;
  /** Values that are in `#bytes`. */
  #count = 0;
  /** The first bytes of a float whose others are still to come. */
  #rest = NOTHING;
  #notFinite: NotFinite | undefined;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
  }

  /** All at once, with the event loop let through in between. */
  static async of(floats: Uint8Array): Promise<VisualInputs> {
    const inputs = new VisualInputs(floats.length);
    for (let at = 0; at < floats.length; at += SLICE_BYTES) {
      inputs.push(floats.subarray(at, at + SLICE_BYTES));
      await immediate();
    }
    return inputs;
  }

  /** What `take` gives: [frames, 6, S, S] in this form. */
  get form(): FormOfValues {
    return this.#form;
  }

  /** The first value that is NaN or infinite. */
  get notFinite(): NotFinite | undefined {
    return this.#notFinite;
  }

  /** The next bytes; all together there are `byteLength`. */
  push(bytes: Uint8Array): void {
    let at = 0;
    if (this.#rest.length > 0) {
      at = FLOAT_BYTES - this.#rest.length;
      const float = Buffer.concat([this.#rest, bytes.subarray(0, at)]);
      this.#rest = NOTHING;
      if (float.length < FLOAT_BYTES) this.#rest = float;
      else this.#add(float);
    }
    const end = bytes.length - (Math.max(bytes.length - at, 0) % FLOAT_BYTES);
    for (; at < end; at += MOST_BYTES) this.#add(bytes.subarray(at, Math.min(at + MOST_BYTES, end)));
    // A copy: what this is a piece of is not to be kept alive.
    if (end < bytes.length) this.#rest = Buffer.from(bytes.subarray(end));
  }

  /** Hands the values over; none are left here. */
  take(): Buffer<ArrayBuffer> {
    const bytes = this.#bytes;
    this.#bytes = NOTHING;
    return bytes;
  }

  /** @param floats whole ones, MOST_FLOATS at most. */
  #add(floats: Uint8Array): void {
    if (this.#form !== 'floats') this.#pack(floats);
    if (this.#form === 'floats') this.#keep(floats);
    this.#count += floats.length / FLOAT_BYTES;
  }

  #pack(floats: Uint8Array): void {
    if (this.#count === 0) this.#bytes = Buffer.allocUnsafeSlow(this.byteLength / FLOAT_BYTES);
    this.#off |= visualKernel.toBytes(floats, this.#bytes.subarray(this.#count));
    if (this.#off === (NOT_DIVIDED | NOT_MULTIPLIED)) this.#unpack();
    else this.#form = this.#off === NOT_DIVIDED ? 'planes-multiplied' : 'planes';
  }

  /** The values so far as floats again, in memory for all. */
  #unpack(): void {
    const packed = this.#bytes.subarray(0, this.#count);
    this.#bytes = Buffer.allocUnsafeSlow(this.byteLength);
    const table = VISUAL_FORMS[this.#form]?.floats;
    if (table) writeFloats(packed, table, new Float32Array(this.#bytes.buffer, 0, packed.length));
    this.#form = 'floats';
  }

  #keep(floats: Uint8Array): void {
    this.#bytes.set(floats, this.#count * FLOAT_BYTES);
    if (this.#notFinite !== undefined) return;
    const found = visualKernel.firstNotFinite(floats);
    if (found < 0) return;
    const value = Buffer.from(floats).readFloatLE(found * FLOAT_BYTES);
    this.#notFinite = { index: this.#count + found, value };
  }
}
