import { SpentReads } from './spent-reads.ts';

/** One byte that says whether the message is compressed, and its length in four. */
const PREFIX_BYTES = 5;
/** Bytes of the longest number in protobuf, and of one that says which field comes or how long it is. */
const LONGEST_VALUE = 10;
const LONGEST_HEAD = 5;
/** Pieces below this are put together, so that a message of countless tiny fields takes no more than its bytes. */
const SMALL_BYTES = 1024;

/** Where the bytes of a field go. */
export interface FieldSink {
  /** @param bytes only there until the next come: a sink that keeps them makes a copy. */
  push(bytes: Uint8Array): void;
}

/** What comes of a field's first bytes: one number and where it ends, or why there is none. */
type Varint = { readonly value: number; readonly end: number } | 'incomplete' | 'wrong';

/**
 * Reads the messages of a call as they come. The contents of one field of bytes are handed on at once, and the message
 * is put together without it; all else stays as it is, so that whoever decodes it finds the same faults. A compressed
 * message is not looked into.
 */
export class FieldReader {
  readonly #maxMessageBytes: number;
  readonly #field: number;
  readonly #begin: (byteLength: number) => FieldSink;
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixed = 0;
  /** Bytes of the message that are still to come. */
  #left = 0;
  /** Of these, the next ones that are kept, or go to the sink. */
  #keeping = 0;
  #sinking = 0;
  #sink: FieldSink | undefined;
  /** The bytes before a field's contents, as far as they have come: its number and type, its value or length. */
  #head: number[] = [];
  /** Groups that are open. */
  #depth = 0;
  readonly #kept = new Pieces();
  readonly #spent = new SpentReads();

  /**
   * @param field its number.
   * @param begin called when the field begins; one that comes again replaces the one before.
   */
  constructor(maxMessageBytes: number, field: number, begin: (byteLength: number) => FieldSink) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#field = field;
    this.#begin = begin;
  }

  /**
   * The messages that these bytes complete, each with its prefix.
   * @throws Error for a message that is longer than allowed.
   */
  write(bytes: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    const isAllSunk = this.#sinking >= bytes.length;
    for (let at = 0; at < bytes.length; ) {
      at += this.#prefixed < PREFIX_BYTES ? this.#readPrefix(bytes, at) : this.#readBody(bytes, at);
      if (this.#prefixed === PREFIX_BYTES && this.#left === 0) messages.push(this.#end());
    }
    if (isAllSunk) this.#spent.used(bytes);
    return messages;
  }

  #readPrefix(bytes: Buffer, at: number): number {
    const copied = bytes.copy(this.#prefix, this.#prefixed, at);
    this.#prefixed += copied;
    if (this.#prefixed === PREFIX_BYTES) {
      this.#left = this.#prefix.readUInt32BE(1);
      if (this.#left > this.#maxMessageBytes) {
        throw new Error(`Received message larger than max (${this.#left} vs ${this.#maxMessageBytes})`);
      }
      if (this.#prefix[0] !== 0) this.#keeping = this.#left;
    }
    return copied;
  }

  #readBody(bytes: Buffer, at: number): number {
    const most = this.#keeping || this.#sinking;
    if (most === 0) {
      this.#left -= 1;
      this.#head.push(bytes[at] as number);
      this.#readHead();
      return 1;
    }
    const piece = bytes.subarray(at, Math.min(at + most, at + this.#left));
    this.#left -= piece.length;
    if (this.#keeping > 0) {
      this.#kept.push(piece);
      this.#keeping -= piece.length;
    } else {
      this.#sink?.push(piece);
      this.#sinking -= piece.length;
    }
    return piece.length;
  }

  #readHead(): void {
    const tag = varint(this.#head, 0, LONGEST_HEAD);
    if (tag === 'incomplete') return;
    const type = tag === 'wrong' ? tag : tag.value % 8;
    if (tag === 'wrong' || type === 6 || type === 7) this.#keep(this.#left);
    else if (type === 1) this.#keep(8);
    else if (type === 5) this.#keep(4);
    else if (type === 3 || type === 4) {
      this.#depth += type === 3 ? 1 : -1;
      this.#keep(0);
    } else {
      const value = varint(this.#head, tag.end, type === 0 ? LONGEST_VALUE : LONGEST_HEAD);
      if (value === 'incomplete') return;
      if (value === 'wrong') this.#keep(this.#left);
      else if (type === 0) this.#keep(0);
      else this.#readBytes(Math.floor(tag.value / 8), value.value);
    }
  }

  #readBytes(field: number, length: number): void {
    if (field !== this.#field || this.#depth !== 0 || length > this.#left) {
      this.#keep(Math.min(length, this.#left));
      return;
    }
    this.#head = [];
    this.#sink = this.#begin(length);
    this.#sinking = length;
  }

  /** Keeps the head, and the next bytes. */
  #keep(bytes: number): void {
    this.#kept.pushFew(this.#head);
    this.#head = [];
    this.#keeping = bytes;
  }

  #end(): Buffer {
    this.#keep(0);
    const message = Buffer.concat([this.#prefix, ...this.#kept.take()]);
    message.writeUInt32BE(message.length - PREFIX_BYTES, 1);
    this.#prefixed = 0;
    this.#depth = 0;
    return message;
  }
}

/** Bytes that came one after the other. */
class Pieces {
  #pieces: Uint8Array[] = [];
  #small = Buffer.alloc(0);
  #smallBytes = 0;

  push(piece: Uint8Array): void {
    if (piece.length < SMALL_BYTES) this.pushFew(piece);
    else {
      this.#flush();
      this.#pieces.push(piece);
    }
  }

  /** @param bytes fewer than SMALL_BYTES; copied. */
  pushFew(bytes: ArrayLike<number>): void {
    if (this.#smallBytes + bytes.length > this.#small.length) this.#flush();
    if (this.#smallBytes === 0) this.#small = Buffer.allocUnsafe(SMALL_BYTES);
    this.#small.set(bytes, this.#smallBytes);
    this.#smallBytes += bytes.length;
  }

  take(): Uint8Array[] {
    this.#flush();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #flush(): void {
    if (this.#smallBytes > 0) this.#pieces.push(this.#small.subarray(0, this.#smallBytes));
    this.#smallBytes = 0;
    this.#small = Buffer.alloc(0);
  }
}

function varint(bytes: readonly number[], start: number, longest: number): Varint {
  let value = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
    if (at - start + 1 === longest) return 'wrong';
  }
  return 'incomplete';
}
