import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstNotFinite, NOT_DIVIDED, NOT_MULTIPLIED, toBytes, toCrop } from '../../api/live/visual-bytes.ts';
import { visualKernel } from '../../api/live/visual-kernel.ts';
import { VISUAL_FORMS } from '../../shared/live/visual-frames.ts';
import { visualFrames } from '../support/visual-frames.ts';

const BYTES = Uint8Array.from({ length: 256 }, (_, value) => value);
const DIVIDED = VISUAL_FORMS.planes.floats;
const MULTIPLIED = VISUAL_FORMS['planes-multiplied'].floats;
const BOTH = NOT_DIVIDED | NOT_MULTIPLIED;
/** What no byte stands for. */
const ODD = [-0, 256 / 255, -1 / 255, Number.NaN, Infinity, -Infinity, 1e-30, 1e30, 255, 4_294_967_296 / 255];

const bytesOf = (floats: Float32Array) => new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);

/** The kernel's answer and bytes, which must be the definition's. */
function packed(floats: Float32Array): { off: number; bytes: Uint8Array } {
  const [bytes, expected] = [new Uint8Array(floats.length), new Uint8Array(floats.length)];
  const off = visualKernel.toBytes(bytesOf(floats), bytes);
  assert.equal(off, toBytes(floats, expected), `of ${floats.length} floats that end in ${floats.at(-1)}`);
  if (off !== BOTH) assert.deepEqual(bytes, expected);
  return { off, bytes };
}

describe('floats as bytes', () => {
  it('are found for every byte, divided or multiplied', () => {
    assert.deepEqual(packed(DIVIDED), { off: NOT_MULTIPLIED, bytes: BYTES });
    assert.deepEqual(packed(MULTIPLIED), { off: NOT_DIVIDED, bytes: BYTES });
    assert.deepEqual(packed(Float32Array.of(0, 1)), { off: 0, bytes: Uint8Array.of(0, 255) });
  });

  it('are refused one by one at any place, and when they are the smallest step beside those of a byte', () => {
    const beside = [...DIVIDED, ...MULTIPLIED].flatMap((float) => {
      const bits = new Int32Array(Float32Array.of(float).buffer);
      return [-1, 1].map((step) => new Float32Array(Int32Array.of((bits[0] as number) + step).buffer)[0] as number);
    });
    for (const [place, odd] of [...ODD, ...beside].entries()) {
      const floats = new Float32Array(33);
      floats[place % 33] = odd;
      packed(floats);
    }
    for (const odd of ODD) assert.equal(packed(Float32Array.of(0, odd)).off, BOTH, String(odd));
  });

  it('are the same in any number, up to what the kernel takes at once', () => {
    for (const length of [0, 1, 15, 16, 17, 16_384]) {
      const floats = Float32Array.from({ length }, (_, place) => DIVIDED[(place * 7) % 256] as number);
      packed(floats);
    }
    assert.throws(() => visualKernel.toBytes(new Uint8Array(4 * 16_385), new Uint8Array(16_385)), RangeError);
  });
});

it('the first value that is not finite is found', () => {
  for (const length of [1, 4, 7, 100]) {
    for (const odd of [Number.NaN, Infinity, -Infinity]) {
      for (let place = 0; place <= length; place += 3) {
        const floats = new Float32Array(length).fill(3e38);
        floats.fill(odd, place);
        assert.equal(visualKernel.firstNotFinite(bytesOf(floats)), firstNotFinite(floats));
      }
    }
  }
});

describe('crops', () => {
  for (const size of [16, 160, 320]) {
    it(`of ${size}² are made where channels 3–5 are the rest with the mouth hidden`, () => {
      const { planes, crops } = visualFrames(1, size);
      for (const make of [toCrop, visualKernel.toCrop.bind(visualKernel)]) {
        const crop = new Uint8Array(3 * size * size);
        assert.ok(make(planes, size, crop));
        assert.deepEqual(Buffer.from(crop), crops);
      }
    });

    it(`of ${size}² are not made when one value at an edge of the mouth is another`, () => {
      const edges = [0, 4, 5, size - 11, size - 10, size - 6, size - 5, size - 1];
      const { planes } = visualFrames(1, size);
      for (const [index, at] of edges.flatMap((y) => edges.map((x) => y * size + x)).entries()) {
        const place = (3 + (index % 3)) * size * size + at;
        planes[place] = (planes[place] as number) ^ 1;
        const crop = new Uint8Array(3 * size * size);
        assert.equal(visualKernel.toCrop(planes, size, crop), false, `at ${at}`);
        if (size === 16) assert.equal(toCrop(planes, size, crop), false);
        planes[place] = (planes[place] as number) ^ 1;
      }
    });
  }
});
