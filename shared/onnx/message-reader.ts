/** Reads the protobuf wire format in place: no bytes are copied, and what a message holds is only looked at when asked. */

/** Half-open range of bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** One field of a message. */
export interface MessageField extends ByteRange {
  readonly number: number;
  /** The value of an integer field (exact up to 2⁵³), and 0 of others. */
  readonly integer: number;
  /** The bytes of a text, a message or another length-delimited field; empty for others. */
  readonly value: ByteRange;
}

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;
/** Bytes of the longest varint. */
const VARINT_BYTES = 10;

/**
 * The fields of a message, in the order of the file.
 * @throws RangeError when the bytes are no message.
 */
export function* fieldsOf(bytes: Uint8Array, message: ByteRange): Generator<MessageField> {
  let at = message.start;
  while (at < message.end) {
    const start = at;
    const tag = varintAt(bytes, at);
    const number = Math.floor(tag.value / 8);
    const wireType = tag.value % 8;
    let integer = 0;
    let from = tag.end;
    if (wireType === VARINT) {
      ({ value: integer, end: from } = varintAt(bytes, from));
      at = from;
    } else if (wireType === LENGTH_DELIMITED) {
      const length = varintAt(bytes, from);
      from = length.end;
      at = from + length.value;
    } else {
      at = from + fixedBytes(wireType);
    }
    if (at > message.end || number === 0) throw new RangeError(`no protobuf message at byte ${start}`);
    yield { number, integer, start, end: at, value: { start: from, end: at } };
  }
}

/** The bytes of a field as text. */
export function textOf(bytes: Uint8Array, { value }: MessageField): string {
  return new TextDecoder().decode(bytes.subarray(value.start, value.end));
}

function fixedBytes(wireType: number): number {
  if (wireType === FIXED_64) return 8;
  if (wireType === FIXED_32) return 4;
  throw new RangeError(`protobuf wire type ${wireType} is unknown`);
}

/** A number of the wire format, and where it ends. @throws RangeError when none is there. */
export function varintAt(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  for (let at = start; at < start + VARINT_BYTES; at++) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte % 128) * scale;
    scale *= 128;
    if (byte < 128) return { value, end: at + 1 };
  }
  throw new RangeError(`no protobuf number at byte ${start}`);
}
