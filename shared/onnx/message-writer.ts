/** Writes the protobuf wire format: just the field kinds that ONNX files are made of. */

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;
const INT64_BITS = 64;

/** One protobuf message. Fields stand in the order of the calls; pieces are joined once, by `toBytes`. */
export class MessageWriter {
  #pieces: Uint8Array[] = [];
  #byteLength = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  /** int32, int64 and enum fields; `value` is an integer. */
  integer(field: number, value: number | bigint): this {
    return this.#append(varint(tag(field, VARINT))).#append(varint(BigInt(value)));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#append(varint(tag(field, FIXED_32))).#append(bytes);
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  /** `value` is kept, not copied: leave it alone until `toBytes`. */
  bytes(field: number, value: Uint8Array): this {
    return this.fieldStart(field, value.byteLength).#append(value);
  }

  /** What stands before the `byteLength` bytes of a text or message, which follow elsewhere. */
  fieldStart(field: number, byteLength: number): this {
    return this.#append(varint(tag(field, LENGTH_DELIMITED))).#append(varint(BigInt(byteLength)));
  }

  message(field: number, value: MessageWriter): this {
    this.fieldStart(field, value.byteLength);
    for (const piece of value.#pieces) this.#append(piece);
    return this;
  }

  toBytes(): Uint8Array {
    const joined = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const piece of this.#pieces) {
      joined.set(piece, at);
      at += piece.byteLength;
    }
    return joined;
  }

  #append(piece: Uint8Array): this {
    this.#pieces.push(piece);
    this.#byteLength += piece.byteLength;
    return this;
  }
}

function tag(field: number, wireType: number): bigint {
  return BigInt(field * 8 + wireType);
}

/** Base-128, least significant group first; negative numbers as their 64-bit two's complement. */
function varint(value: bigint): Uint8Array {
  let rest = BigInt.asUintN(INT64_BITS, value);
  const bytes: number[] = [];
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
