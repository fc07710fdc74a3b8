import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldReader } from '../../api/grpc/field-reader.ts';

/** Field 2 is the one that is taken out. */
const TAKEN = 2;
const MOST_BYTES = 1_000_000;

const tag = (field: number, type: number) => varint(field * 8 + type);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const bytesField = (field: number, value: Buffer) => Buffer.concat([tag(field, 2), varint(value.length), value]);

function framed(message: Buffer, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** What comes out of messages that arrive in pieces of these lengths, over and over. */
function read(sent: Buffer, cuts: readonly number[]) {
  const taken: { length: number; bytes: Buffer }[] = [];
  const reader = new FieldReader(MOST_BYTES, TAKEN, (length) => {
    const field = { length, bytes: Buffer.alloc(0) };
    taken.push(field);
    return { push: (bytes) => (field.bytes = Buffer.concat([field.bytes, bytes])) };
  });
  const messages: Buffer[] = [];
  for (let at = 0, turn = 0; at < sent.length; turn++) {
    const length = cuts[turn % cuts.length] as number;
    messages.push(...reader.write(sent.subarray(at, at + length)));
    at += length;
  }
  return { messages, taken };
}

const CUTS = [[1], [2], [3, 1, 7], [100], [5, 1000], [MOST_BYTES]];
const BIG = Buffer.from(Uint8Array.from({ length: 5000 }, (_, at) => at * 7));

describe('messages as they come', () => {
  const name = bytesField(1, Buffer.from('demo'));
  const others = [
    name,
    ...[tag(7, 0), Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])],
    ...[tag(900_000, 1), Buffer.alloc(8, 2), tag(9, 5), Buffer.alloc(4, 2)],
    bytesField(3, BIG),
    bytesField(4, Buffer.alloc(0)),
  ];

  for (const cuts of CUTS) {
    it(`lose the contents of one field, and keep all else (pieces of ${cuts})`, () => {
      const middle = Buffer.concat([...others, bytesField(TAKEN, BIG), ...others]);
      const { messages, taken } = read(Buffer.concat([framed(middle), framed(name), framed(Buffer.alloc(0))]), cuts);
      const rest = [Buffer.concat([...others, ...others]), name, Buffer.alloc(0)];
      assert.deepEqual(
        messages,
        rest.map((message) => framed(message)),
      );
      assert.deepEqual(taken, [{ length: BIG.length, bytes: BIG }]);
    });

    it(`that are compressed stay as they are (pieces of ${cuts})`, () => {
      const sent = framed(bytesField(TAKEN, BIG), 1);
      assert.deepEqual(read(sent, cuts), { messages: [sent], taken: [] });
    });

    const faulty: Record<string, Buffer> = {
      'a field that is longer than the message': Buffer.concat([name, tag(TAKEN, 2), varint(10), Buffer.alloc(9)]),
      'the end in a number': Buffer.concat([name, tag(7, 0), Buffer.from([0x80])]),
      'the end in a field’s number': Buffer.concat([name, Buffer.from([0x92, 0x80])]),
      'a number without an end': Buffer.concat([tag(7, 0), Buffer.alloc(11, 0x80), bytesField(TAKEN, BIG)]),
      'a field’s number that is too long': Buffer.concat([Buffer.alloc(6, 0x80), bytesField(TAKEN, BIG)]),
      'a length that is too long': Buffer.concat([tag(TAKEN, 2), Buffer.alloc(6, 0x81), BIG]),
      'an unknown type': Buffer.concat([tag(5, 7), bytesField(TAKEN, BIG)]),
      'a group around the field': Buffer.concat([tag(12, 3), bytesField(TAKEN, BIG), tag(12, 4)]),
      'the field as a number': Buffer.concat([tag(TAKEN, 0), varint(300)]),
    };
    for (const [what, message] of Object.entries(faulty)) {
      it(`are left to the decoder as they are: ${what} (pieces of ${cuts})`, () => {
        assert.deepEqual(read(framed(message), cuts), { messages: [framed(message)], taken: [] });
      });
    }
  }

  it('may bring the field again: each is taken', () => {
    const sent = framed(Buffer.concat([bytesField(TAKEN, BIG), bytesField(TAKEN, Buffer.from('x'))]));
    const { messages, taken } = read(sent, [7]);
    assert.deepEqual(messages, [framed(Buffer.alloc(0))]);
    assert.deepEqual(
      taken.map(({ length }) => length),
      [BIG.length, 1],
    );
  });

  it('of countless tiny fields come whole', () => {
    const message = Buffer.concat(Array.from({ length: 200_000 }, () => Buffer.from([0x38, 0x01])));
    assert.deepEqual(read(framed(message), [16_384]).messages, [framed(message)]);
  });

  it('are refused from their first bytes on when they are too long', () => {
    const prefix = framed(Buffer.alloc(MOST_BYTES + 1)).subarray(0, 5);
    assert.throws(() => read(prefix, [5]), /larger than max \(1000001 vs 1000000\)/);
  });
});
