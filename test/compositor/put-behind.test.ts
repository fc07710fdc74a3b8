import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rimBytes } from '../../worker/compositor/contract.ts';
import { PlainCompositor } from '../../worker/compositor/plain-compositor.ts';
import { putBehind } from '../../worker/compositor/put-behind.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';

const SIZE = { width: 40, height: 30 };
const PIXELS = SIZE.width * SIZE.height;
const RECT = { x1: 5, y1: 3, x2: 27, y2: 25 };
const IN_RECT = 22 * 22;

const bytes = (length: number, from = 0) =>
  Uint8Array.from({ length }, (_, at) => (at * at * 31 + at * 17 + from) % 256);
/** Many ends, and values between them. */
const shares = (length: number, from: number) =>
  bytes(length, from).map((value) => Math.min(255, Math.max(0, 2 * value - 128)));
const image = (from: number): RgbImage => ({ ...SIZE, data: bytes(PIXELS * 3, from) });
const compositor = new PlainCompositor();

function frameOf(picture: RgbImage, weights: Uint8Array | undefined): Uint8Array {
  const pixels = new Uint8Array(picture.data.length);
  compositor.pixels(picture, { rect: RECT, rim: bytes(rimBytes(160)), weights }, bytes(160 * 160 * 3, 9), pixels);
  return pixels;
}

for (const weights of [undefined, shares(IN_RECT, 3)]) {
  const mouth = weights ? 'a mouth that is mixed in' : 'a whole mouth';
  test(`a backdrop behind a picture and ${mouth} is what it is behind their frame`, () => {
    const [picture, backdrop, alpha] = [image(1), image(77), shares(PIXELS, 5)];
    const seen = putBehind(picture, alpha, backdrop, RECT, weights);
    const got = frameOf(seen.picture, seen.weights);
    for (const [at, value] of frameOf(picture, weights).entries()) {
      const share = (alpha[Math.floor(at / 3)] as number) / 255;
      const expected = value * share + (backdrop.data[at] as number) * (1 - share);
      assert.ok(Math.abs((got[at] as number) - expected) <= 1.5, `byte ${at}: got ${got[at]}, expected ${expected}`);
    }
  });
}

test('where the picture is opaque nothing changes, and the mouth needs no weights', () => {
  const picture = image(1);
  const seen = putBehind(picture, new Uint8Array(PIXELS).fill(255), image(77), RECT);
  assert.equal(seen.weights, undefined);
  assert.deepEqual(seen.picture.data, picture.data);
});
