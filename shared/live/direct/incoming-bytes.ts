import { WrongMessage } from './message-reader.ts';

/** Bytes of known lengths that come in parts, each length into a buffer of its own: no other view of it exists. */
export class IncomingBytes {
  readonly buffers: readonly Buffer[];
  #buffer = 0;
  #filled = 0;

  constructor(lengths: readonly number[]) {
    this.buffers = lengths.map((length) => Buffer.from(new ArrayBuffer(length)));
    this.#skipFull();
  }

  get isWhole(): boolean {
    return this.#buffer === this.buffers.length;
  }

  /** Throws WrongMessage when more comes than was announced. */
  add(part: Buffer): void {
    let rest = part;
    while (rest.length > 0) {
      const buffer = this.buffers[this.#buffer];
      if (!buffer) throw new WrongMessage('More bytes than were announced');
      const copied = rest.copy(buffer, this.#filled);
      this.#filled += copied;
      rest = rest.subarray(copied);
      this.#skipFull();
    }
  }

  #skipFull(): void {
    while (this.#buffer < this.buffers.length && this.#filled === this.buffers[this.#buffer]?.length) {
      this.#buffer++;
      this.#filled = 0;
    }
  }
}
