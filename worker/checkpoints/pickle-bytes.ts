import { Unreadable } from './unreadable.ts';

/** Longest whole number of a pickle, in bytes: PyTorch's magic number has ten. */
const MAX_LONG = 64;
/** Longest name of a module, a class or a function. */
const MAX_LINE = 1000;

/** Reads the parts of which a pickle's operations are made. Each read moves on. */
export class PickleBytes {
  at: number;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes;
    this.at = start;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32LE(this.#take(4));
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  /** A length that must lie within the bytes. */
  length32(): number {
    return this.uint32();
  }

  length64(): number {
    const value = this.#bytes.readBigUInt64LE(this.#take(8));
    return value > BigInt(this.#bytes.length) ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  /** A whole number of any size, two's complement; a bigint where a number does not hold it. */
  long(length: number): number | bigint {
    if (length > MAX_LONG) throw new Unreadable(`its pickle has a whole number of ${length} bytes`);
    const from = this.#take(length);
    let value = 0n;
    for (let index = from + length - 1; index >= from; index--) value = value * 256n + BigInt(this.#bytes[index] ?? 0);
    value = BigInt.asIntN(length * 8, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  text(length: number): string {
    const from = this.#take(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  bytes(length: number): Buffer {
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  latin1(length: number): string {
    const from = this.#take(length);
    return this.#bytes.toString('latin1', from, from + length);
  }

  /** Up to a line break, which is passed over. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end < 0 && this.#bytes.length - this.at <= MAX_LINE) throw new Unreadable('its pickle was cut off');
    if (end < 0 || end - this.at > MAX_LINE) throw new Unreadable('its pickle is damaged: a name in it does not end');
    const text = this.text(end - this.at);
    this.skip(1);
    return text;
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** @returns where the bytes begin that are taken. */
  #take(length: number): number {
    const from = this.at;
    if (from + length > this.#bytes.length) throw new Unreadable('its pickle was cut off');
    this.at = from + length;
    return from;
  }
}
