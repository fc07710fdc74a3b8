import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { VisualInputs } from '../../api/live/visual-inputs.ts';
import { floatsOf, visualFrames } from '../support/visual-frames.ts';

const { floats, planes } = visualFrames(2);
const COUNT = planes.length;

/** The inputs, received in pieces of any length. */
function received(bytes: Buffer, seed: number): VisualInputs {
  const inputs = new VisualInputs(bytes.length);
  let state = seed;
  for (let at = 0; at < bytes.length; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const length = state % 5 === 0 ? 1 + (state % 3) : 1 + ((state >>> 8) % 70_000);
    inputs.push(bytes.subarray(at, at + length));
    at += length;
  }
  return inputs;
}

/** The floats with one of them changed. */
function withOne(place: number, value: number): Buffer {
  const changed = Buffer.from(floats);
  changed.writeFloatLE(value, 4 * place);
  return changed;
}

describe('visual inputs, however they are cut', () => {
  for (const seed of [1, 2, 3]) {
    it(`are bytes when they were made from bytes (seed ${seed})`, () => {
      const inputs = received(floats, seed);
      assert.deepEqual([inputs.form, inputs.notFinite], ['planes', undefined]);
      assert.ok(inputs.take().equals(planes));
      assert.equal(inputs.take().length, 0, 'they are handed over once');
    });

    it(`are bytes as well when they were multiplied by 1/255 (seed ${seed})`, () => {
      const multiplied = Float32Array.from(planes, (value) => value * Math.fround(1 / 255));
      const inputs = received(Buffer.from(multiplied.buffer), seed);
      assert.equal(inputs.form, 'planes-multiplied');
      assert.ok(inputs.take().equals(planes));
    });

    it(`stay as they came when one value is no byte's, wherever it lies (seed ${seed})`, () => {
      for (const place of [0, 1, 16_384, COUNT / 2 + 1, COUNT - 1]) {
        const sent = withOne(place, 0.3);
        const inputs = received(sent, seed);
        assert.deepEqual([inputs.form, inputs.notFinite], ['floats', undefined]);
        assert.ok(inputs.take().equals(sent), `place ${place}`);
      }
    });
  }

  it('say which value is the first that is not finite', () => {
    for (const [place, value] of [
      [0, Number.NaN],
      [70_001, Infinity],
      [COUNT - 1, -Infinity],
    ] as const) {
      assert.deepEqual(received(withOne(place, value), 1).notFinite, { index: place, value });
    }
  });

  it('are neither divided nor multiplied when some are the one and some the other', () => {
    const sent = Buffer.concat([floatsOf(Uint8Array.of(3, 254)), floats]);
    sent.writeFloatLE(3 * Math.fround(1 / 255), 0);
    const inputs = received(sent, 1);
    assert.equal(inputs.form, 'floats');
    assert.ok(inputs.take().equals(sent));
  });

  it('may come all at once', async () => {
    assert.ok((await VisualInputs.of(floats)).take().equals(planes));
    assert.equal((await VisualInputs.of(Buffer.alloc(0))).take().length, 0);
  });
});
