import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackgroundMode } from '../../shared/background-mode.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { backgroundIndex, backgroundOfFrame, checkBackground } from '../../worker/pipeline/background.ts';
import { resizeBicubic } from '../../worker/pipeline/bicubic.ts';
import { compositeFrame } from '../../worker/pipeline/composite.ts';
import type { NetworkSize, Rect, RgbImage } from '../../worker/pipeline/contract.ts';
import { mouthBytes, visualInputFloats } from '../../worker/pipeline/contract.ts';
import { writeMouth } from '../../worker/pipeline/mouth.ts';
import { writeVisualInput } from '../../worker/pipeline/picture-floats.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { fixtureBytes, largestDifference, referenceBytes, referenceFloats, referenceMissing } from './files.ts';

function picture(width: number, height: number, value: (i: number) => number): RgbImage {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => value(i)) };
}

function whole(image: RgbImage): Rect {
  return { x1: 0, y1: 0, x2: image.width, y2: image.height };
}

/** Bytes of `rect`, row after row. */
function pixelsOf(image: RgbImage, rect: Rect): number[] {
  const bytes: number[] = [];
  for (let y = rect.y1; y < rect.y2; y++) {
    bytes.push(...image.data.subarray((y * image.width + rect.x1) * 3, (y * image.width + rect.x2) * 3));
  }
  return bytes;
}

test('backgrounds walk to and fro without repeating either end', () => {
  const walk = (n: number, from: number, count: number) =>
    Array.from({ length: count }, (_, i) => backgroundIndex(from + i, n)).join('');
  assert.equal(walk(1, 0, 5), '00000');
  assert.equal(walk(2, 0, 6), '010101');
  assert.equal(walk(5, 0, 18), '012343210123432101');
  assert.equal(walk(5, 6, 6), '210123');
  assert.equal(walk(5, 8 * 1000 + 3, 4), '3432');
});

test('backgrounds go round in a loop, or stay on the last one', () => {
  const walk = (mode: BackgroundMode, n: number, from: number, count: number) =>
    Array.from({ length: count }, (_, i) => backgroundIndex(from + i, n, mode)).join('');
  assert.equal(walk('loop', 4, 0, 9), '012301230');
  assert.equal(walk('loop', 4, 4 * 1000 + 3, 4), '3012');
  assert.equal(walk('loop', 1, 5, 3), '000');
  assert.equal(walk('hold', 4, 1, 6), '123333');
  assert.equal(walk('hold', 4, 900, 3), '333');
});

test('a walk that turns back ends where it began, in steps of one, whatever the length and the mode', () => {
  const walk = (totalFrames: number, backgroundMode?: BackgroundMode) => {
    const of = { startFrameIndex: 1, fromNeutral: true, totalFrames, backgroundMode };
    return Array.from({ length: totalFrames }, (_, frame) => backgroundOfFrame(frame, of, 4)).join('');
  };
  assert.equal(walk(1), '1');
  assert.equal(walk(2), '11');
  assert.equal(walk(9), '123212321');
  assert.equal(walk(10), '1232112321');
  assert.equal(walk(9, 'loop'), '123010321');
  assert.equal(walk(9, 'hold'), '123333321');
});

test('bicubic agrees with cv2.resize within 1, growing and shrinking', (t) => {
  const source = { width: 37, height: 45, data: fixtureBytes('bicubic-45.u8') };
  for (const [width, height] of [
    [71, 82],
    [19, 23],
  ] as const) {
    const target = picture(width, height, () => 0);
    resizeBicubic(source, whole(source), target, whole(target));
    const error = largestDifference(target.data, fixtureBytes(`bicubic-${height}.u8`));
    t.diagnostic(`to ${width}x${height}: largest error ${error}`);
    assert.ok(error <= 1, `largest error ${error}`);
  }
});

test('bicubic between rects sees and touches nothing outside them', () => {
  const source = { width: 37, height: 45, data: fixtureBytes('bicubic-45.u8') };
  const expected = picture(71, 82, () => 0);
  resizeBicubic(source, whole(source), expected, whole(expected));
  const larger = picture(60, 50, () => 201);
  resizeBicubic(source, whole(source), larger, { x1: 23, y1: 5, x2: 60, y2: 50 });
  const target = picture(90, 100, () => 77);
  const rect = { x1: 3, y1: 18, x2: 74, y2: 100 };
  resizeBicubic(larger, { x1: 23, y1: 5, x2: 60, y2: 50 }, target, rect);
  assert.deepEqual(pixelsOf(target, rect), [...expected.data]);
  assert.ok(pixelsOf(target, { x1: 0, y1: 0, x2: 90, y2: 18 }).every((value) => value === 77));
  assert.ok(pixelsOf(target, { x1: 0, y1: 0, x2: 3, y2: 100 }).every((value) => value === 77));
  assert.ok(pixelsOf(target, { x1: 74, y1: 0, x2: 90, y2: 100 }).every((value) => value === 77));
});

test('bicubic to the same size is a copy', () => {
  const source = picture(20, 20, (i) => (i * 37) % 256);
  const target = makeCrop(160);
  resizeBicubic(source, whole(source), target, { x1: 10, y1: 12, x2: 30, y2: 32 });
  assert.deepEqual(pixelsOf(target, { x1: 10, y1: 12, x2: 30, y2: 32 }), [...source.data]);
});

for (const size of [160, 320] as const) {
  test(`the mouth is hidden from x 5…${size - 6}, y 5…${size - 11}, and nothing else (S = ${size})`, () => {
    const crop = makeCrop(size);
    crop.data.fill(255);
    const plane = size * size;
    const input = new Float32Array(visualInputFloats(size) + 2).fill(9);
    writeVisualInput(crop, size, input, 1);
    assert.deepEqual([input[0], input.at(-1)], [9, 9]);
    for (let i = 0; i < 6 * plane; i++) {
      const x = i % size;
      const y = Math.floor((i % plane) / size);
      const hidden = i >= 3 * plane && x >= 5 && x <= size - 6 && y >= 5 && y <= size - 11;
      if (input[i + 1] !== (hidden ? 0 : 1)) assert.fail(`channel ${Math.floor(i / plane)}, x ${x}, y ${y}`);
    }
  });
}

test('the visual input holds blue, green, red of the inner picture', () => {
  const crop = makeCrop(160);
  crop.data.set([51, 102, 255], (4 * 168 + 4) * 3);
  const input = new Float32Array(visualInputFloats(160));
  writeVisualInput(crop, 160, input, 0);
  const plane = 160 * 160;
  const first = [0, 1, 2, 3, 4, 5].map((channel) => input[channel * plane]);
  assert.deepEqual(first, [1, 0.4, 0.2, 1, 0.4, 0.2].map(Math.fround));
});

test('the visual input agrees with the original within 1/255', { skip: referenceMissing }, (t) => {
  const bgr = referenceBytes('crops_328_bgr.u8');
  const crop = makeCrop(320);
  for (let i = 0; i < crop.data.length; i += 3) {
    crop.data.set([bgr[i + 2] as number, bgr[i + 1] as number, bgr[i] as number], i);
  }
  const input = new Float32Array(visualInputFloats(320));
  writeVisualInput(crop, 320, input, 0);
  const error = largestDifference(input, referenceFloats('visual_input_frame0.f32'));
  t.diagnostic(`largest error ${error}`);
  assert.ok(error <= 1 / 255, `largest error ${error}`);
});

const EDGE_RECTS: readonly Rect[] = [
  { x1: 40, y1: 30, x2: 110, y2: 100 },
  { x1: 0, y1: 0, x2: 70, y2: 70 },
  { x1: 130, y1: 50, x2: 200, y2: 120 },
  { x1: 0, y1: 0, x2: 200, y2: 120 },
];

/** A composite whose network gives one colour (BGR 0…1) everywhere. */
function compositeColour(background: RgbImage, rect: Rect, bgr: readonly number[], size: NetworkSize): RgbImage {
  const crop = makeCrop(size);
  cutCrop(background, rect, crop);
  const plane = size * size;
  const output = new Float32Array(1 + 3 * plane);
  bgr.forEach((value, channel) => {
    output.fill(value, 1 + channel * plane, 1 + (channel + 1) * plane);
  });
  const mouth = new Uint8Array(mouthBytes(size));
  writeMouth(output, 1, size, mouth);
  return compositeFrame(mouth, size, crop, background, rect, new Uint8Array(background.data.length).fill(77));
}

test('a composite changes its rect and nothing else, at every edge, and never the background', () => {
  const background = picture(200, 120, (i) => (i * 31) % 251);
  const before = background.data.slice();
  for (const rect of EDGE_RECTS) {
    const frame = compositeColour(background, rect, [0, 0, 1], 160);
    assert.deepEqual(background.data, before);
    assert.deepEqual([frame.width, frame.height, frame.data.length], [200, 120, 72_000]);
    for (let i = 0; i < frame.data.length; i++) {
      const x = Math.floor(i / 3) % 200;
      const y = Math.floor(i / 600);
      const inside = x >= rect.x1 && x < rect.x2 && y >= rect.y1 && y < rect.y2;
      if (!inside && frame.data[i] !== before[i]) assert.fail(`${JSON.stringify(rect)}: x ${x}, y ${y} changed`);
    }
    const centre = ((rect.y1 + rect.y2) >> 1) * 200 + ((rect.x1 + rect.x2) >> 1);
    assert.deepEqual([...frame.data.subarray(centre * 3, centre * 3 + 3)], [255, 0, 0]);
  }
});

test('the rim of the crop stays the background’s', () => {
  const background = picture(168, 168, () => 100);
  const frame = compositeColour(background, whole(background), [1, 1, 1], 160);
  for (let i = 0; i < frame.data.length; i++) {
    const x = Math.floor(i / 3) % 168;
    const y = Math.floor(i / (3 * 168));
    const inner = x >= 4 && x < 164 && y >= 4 && y < 164;
    if (frame.data[i] !== (inner ? 255 : 100)) assert.fail(`x ${x}, y ${y} is ${frame.data[i]}`);
  }
});

test('the network’s values are clamped and truncated, as numpy casts float32 × 255', () => {
  const background = picture(168, 168, () => 0);
  const rect = whole(background);
  const centre = (84 * 168 + 84) * 3;
  const shown = (value: number) => compositeColour(background, rect, [value, value, value], 160).data[centre];
  const values = [-0.5, -0, 0.5, 1, 7, Number.POSITIVE_INFINITY, Number.NaN];
  assert.deepEqual(values.map(shown), [0, 0, 127, 255, 255, 255, 0]);
  assert.equal(shown(1.99 / 255), 1);
  // 3/255 as float32 lies below 3/255, but its float32 product with 255 is 3.
  assert.equal(shown(Math.fround(3 / 255)), 3);
});

test('a crop rect or picture that does not fit the avatar is refused with its numbers', () => {
  const image = picture(20, 10, () => 0);
  const size = { width: 20, height: 10 };
  checkBackground(image, { x1: 0, y1: 0, x2: 20, y2: 10 }, size, 0);
  const isUnusable = (thrown: unknown) =>
    thrown instanceof FarmError && thrown.code === 'model_unusable' && thrown.message.includes('ackground 3');
  for (const rect of [
    { x1: -1, y1: 0, x2: 5, y2: 5 },
    { x1: 0, y1: 0, x2: 21, y2: 5 },
    { x1: 4, y1: 0, x2: 4, y2: 5 },
    { x1: 0, y1: 6, x2: 5, y2: 5 },
    { x1: 0.5, y1: 0, x2: 5, y2: 5 },
  ]) {
    assert.throws(() => checkBackground(image, rect, size, 3), isUnusable);
  }
  const rect = { x1: 0, y1: 0, x2: 5, y2: 5 };
  assert.throws(() => checkBackground(image, rect, { width: 10, height: 20 }, 3), isUnusable);
});
