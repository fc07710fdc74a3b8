/** One byte that says whether the message is compressed, and its length in four. */
const PREFIX_BYTES = 5;

export interface MessageStart {
  /** Bytes that come. */
  readonly length: number;
  readonly isCompressed: boolean;
}

/** Follows the bytes of a gRPC stream, and tells where its messages begin and end. */
export class MessageLengths {
  readonly #onStart: (message: MessageStart) => void;
  readonly #onEnd: () => void;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixed = 0;
  /** Bytes of the message that are still to come. */
  #left = 0;

  constructor(onStart: (message: MessageStart) => void, onEnd: () => void) {
    this.#onStart = onStart;
    this.#onEnd = onEnd;
  }

  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, bytes.length - at);
        at += taken;
        this.#left -= taken;
        if (this.#left === 0) this.#onEnd();
        continue;
      }
      const copied = bytes.copy(this.#prefix, this.#prefixed, at);
      at += copied;
      this.#prefixed += copied;
      if (this.#prefixed === PREFIX_BYTES) this.#begin();
    }
  }

  #begin(): void {
    this.#prefixed = 0;
    this.#left = this.#prefix.readUInt32BE(1);
    this.#onStart({ length: this.#left, isCompressed: this.#prefix[0] !== 0 });
    if (this.#left === 0) this.#onEnd();
  }
}
