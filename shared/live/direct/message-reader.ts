import { HEADER_BYTES, KIND, PIECE_BYTES, SMALL_BYTES } from './wire.ts';

/** Who gets what a connection brings. Either may throw: then the connection is not to be read any further. */
export interface MessageSink {
  /** A whole message, of any kind but `bytes`. */
  message(kind: number, run: number, body: Buffer): void;
  /** A part of a `bytes` message, as it comes: valid during the call only. */
  bytes(run: number, part: Buffer): void;
}

/** What a peer that speaks another protocol, or means harm, has sent. */
export class WrongMessage extends Error {
  override readonly name = 'WrongMessage';
}

/** Takes the bytes of a connection apart. It holds one small message at most; larger ones pass through it. */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #held = Buffer.allocUnsafe(HEADER_BYTES + SMALL_BYTES);
  #heldBytes = 0;
  /** Bytes that are still to come of a `bytes` message, and its run. */
  #passing = { run: 0, left: 0 };

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /** Throws WrongMessage for a length that no message has, and what the sink throws. */
  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const taken = this.#passing.left > 0 ? this.#pass(rest) : this.#hold(rest);
      rest = rest.subarray(taken);
    }
  }

  #pass(chunk: Buffer): number {
    const part = chunk.subarray(0, this.#passing.left);
    this.#passing.left -= part.length;
    this.#sink.bytes(this.#passing.run, part);
    return part.length;
  }

  /** Adds to the message that is held as much as it needs, and hands it on when it is whole. */
  #hold(chunk: Buffer): number {
    const headerIsHeld = this.#heldBytes >= HEADER_BYTES;
    const needed = headerIsHeld ? HEADER_BYTES + this.#held.readUInt32BE(0) : HEADER_BYTES;
    const taken = chunk.copy(this.#held, this.#heldBytes, 0, needed - this.#heldBytes);
    this.#heldBytes += taken;
    if (this.#heldBytes < needed) return taken;
    if (!headerIsHeld) this.#readHeader();
    if (this.#heldBytes === HEADER_BYTES + this.#held.readUInt32BE(0)) this.#handOn();
    return taken;
  }

  #readHeader(): void {
    const [length, kind, run] = [this.#held.readUInt32BE(0), this.#held.readUInt8(4), this.#held.readUInt32BE(5)];
    const most = kind === KIND.bytes ? PIECE_BYTES : SMALL_BYTES;
    if (length > most) throw new WrongMessage(`A message of kind ${kind} and ${length} bytes; at most ${most}`);
    if (kind !== KIND.bytes) return;
    this.#passing = { run, left: length };
    this.#heldBytes = 0;
  }

  #handOn(): void {
    const [length, kind, run] = [this.#held.readUInt32BE(0), this.#held.readUInt8(4), this.#held.readUInt32BE(5)];
    this.#heldBytes = 0;
    this.#sink.message(kind, run, Buffer.from(this.#held.subarray(HEADER_BYTES, HEADER_BYTES + length)));
  }
}
