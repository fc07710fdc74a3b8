/** The bits of a JPEG's rows of MCUs: twin of jpeg-bits.as.ts. */

/** Writes bits, the first in a byte's highest place. After a byte of 255 follows one of 0, so that it is no marker. */
export class BitWriter {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;
  /** The bits that do not fill a byte yet, in the low places. */
  #pending = 0;
  #pendingCount = 0;

  /** Number of the next bit: 8 × its byte + its place there from the top. */
  get position(): number {
    return this.#length * 8 + this.#pendingCount;
  }

  /** What was written; whole bytes. The writer's memory: valid until it is used again. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    this.#pending = 0;
    this.#pendingCount = 0;
  }

  /** @param count of low bits in `bits`, 0–16; the others are 0. */
  put(bits: number, count: number): void {
    this.#pending = (this.#pending << count) | bits;
    this.#pendingCount += count;
    while (this.#pendingCount >= 8) {
      this.#pendingCount -= 8;
      const byte = this.#pending >> this.#pendingCount;
      this.#pending &= (1 << this.#pendingCount) - 1;
      this.#append(byte);
      if (byte === 0xff) this.#append(0);
    }
  }

  /** Fills the last byte with ones. */
  align(): void {
    const missing = (8 - this.#pendingCount) & 7;
    this.put((1 << missing) - 1, missing);
  }

  /** Appends bytes as they are; the bits before fill whole bytes. */
  putBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends the bits [from, to) of bytes that a `BitWriter` has written. */
  copyBits(source: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to) {
      const index = at >> 3;
      const byte = source[index] as number;
      const first = at & 7;
      const end = Math.min(to - (at - first), 8);
      this.put((byte >> (8 - end)) & ((1 << (end - first)) - 1), end - first);
      const stuffed = end === 8 && byte === 0xff;
      at += end - first + (stuffed ? 8 : 0);
    }
  }

  #append(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = byte;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + count));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
