import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkCropRects, parseCropRects, readCropRects } from '../../worker/avatar/crop-rects.ts';

const PATH = '/avatars/ann/rects.json';
const RECTS = [
  { x1: 1, y1: 2, x2: 11, y2: 12 },
  { x1: 3, y1: 4, x2: 13, y2: 14 },
];

test('a list of rects is read', () => {
  assert.deepEqual(parseCropRects('[[1, 2, 11, 12], [3, 4, 13, 14]]', PATH), RECTS);
});

test('rects keyed by frame number are read in the order of their numbers, whatever else an entry holds', () => {
  const entries = Array.from({ length: 12 }, (_, index) => [index, { rect: [index, 0, index + 5, 5], score: 0.9 }]);
  const rects = parseCropRects(JSON.stringify(Object.fromEntries(entries.reverse())), PATH);
  assert.deepEqual(
    rects.map(({ x1 }) => x1),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  );
});

const REFUSED: [string, string, RegExp][] = [
  ['text that is not JSON', '[[1, 2,', /are not JSON/],
  ['a number', '7', /unknown form, 7: expected \[\[x1, y1, x2, y2\], …\] or/],
  ['an empty list', '[]', /unknown form, \[\]/],
  ['an empty object', '{}', /are empty/],
  ['other keys', '{"first": {"rect": [1, 2, 3, 4]}}', /unknown form, \{"first"/],
  ['a missing key', '{"0": {"rect": [1, 2, 3, 4]}, "2": {"rect": [1, 2, 3, 4]}}', /none under the key "1".*"0" to "1"/],
  ['an entry without a rect', '{"0": {}}', /crop rect 0 in .* is nothing/],
  ['three numbers', '[[1, 2, 3, 4], [1, 2, 3]]', /crop rect 1 in .* is \[1,2,3\]: expected \[x1, y1, x2, y2\]/],
  ['a number that is not whole', '[[1, 2, 3.5, 4]]', /crop rect 0 in .* is \[1,2,3.5,4\]: expected .* whole pixels/],
  ['text for a number', '[["1", 2, 3, 4]]', /crop rect 0 in .* is \["1",2,3,4\]/],
  ['an empty rect', '[[1, 2, 1, 4]]', /crop rect 0 in .* is \[1,2,1,4\]: expected .* x1 < x2 and y1 < y2/],
  ['an inverted rect', '[[1, 2, 3, 4], [1, 9, 3, 4]]', /crop rect 1 in .* is \[1,9,3,4\]/],
];
for (const [what, text, message] of REFUSED) {
  test(`${what} is refused with the file, the index and the values`, () => {
    assert.throws(() => parseCropRects(text, PATH), { code: 'model_unusable', message });
    assert.throws(() => parseCropRects(text, PATH), { message: /\/avatars\/ann\/rects\.json/ });
  });
}

test('a huge wrong file is quoted only in part', () => {
  const text = JSON.stringify('x'.repeat(100_000));
  assert.throws(
    () => parseCropRects(text, PATH),
    (error: Error) => error.message.length < 400,
  );
});

test('a missing file is refused with its path', async () => {
  await assert.rejects(readCropRects('/nowhere/rects.json'), { code: 'model_unusable', message: /\/nowhere\/rects/ });
});

test('rects may touch the edges of the picture', () => {
  checkCropRects([{ x1: 0, y1: 0, x2: 64, y2: 48 }], { width: 64, height: 48, frameCount: 1 }, PATH);
});

test('a rect outside the picture is refused with its index, its values and the picture', () => {
  const bounds = { width: 12, height: 48, frameCount: 2 };
  assert.throws(() => checkCropRects(RECTS, bounds, PATH), {
    code: 'model_unusable',
    message: /crop rect 1 in .*rects\.json is \[3, 4, 13, 14\], outside the 12×48 picture/,
  });
  const above = [{ x1: 0, y1: -1, x2: 5, y2: 4 }];
  assert.throws(() => checkCropRects(above, { ...bounds, frameCount: 1 }, PATH), /outside the 12×48 picture/);
});

test('fewer rects than frames are refused, further ones are ignored', () => {
  assert.throws(() => checkCropRects(RECTS, { width: 64, height: 48, frameCount: 3 }, PATH), {
    code: 'model_unusable',
    message: /rects\.json has 2 crop rects for 3 background frames: the rect of frame 2 is the first one missing/,
  });
  checkCropRects(RECTS, { width: 12, height: 48, frameCount: 1 }, PATH);
});
