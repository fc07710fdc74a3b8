import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { mouthArea } from '../../worker/compositor/contract.ts';
import { PlaneConverter } from '../../worker/compositor/plane-converter.ts';
import { convertArea, planeLayout } from '../../worker/compositor/planes.ts';
import type { Rect, RgbImage } from '../../worker/pipeline/contract.ts';

/** Pictures in each property; more with PLANE_PICTURES. */
const PICTURES = Number(process.env.PLANE_PICTURES ?? 60);

const converter = new PlaneConverter();

type Random = () => number;

/** Numbers below 1 that are the same in every run (mulberry32). */
function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const upTo = (random: Random, most: number) => Math.floor(random() * (most + 1));

/** Noise that often is at the ends of its range, where sums are largest. */
function noise(width: number, height: number, random: Random): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, () => Math.round(random() * 400 - 70));
  for (let at = 0; at < data.length; at++) if (random() < 0.3) data[at] = random() < 0.5 ? 0 : 255;
  return { width, height, data };
}

function randomRect(width: number, height: number, random: Random): Rect {
  const x1 = random() < 0.2 ? 0 : upTo(random, width - 1);
  const y1 = random() < 0.2 ? 0 : upTo(random, height - 1);
  const x2 = random() < 0.2 ? width : x1 + 1 + upTo(random, width - x1 - 1);
  const y2 = random() < 0.2 ? height : y1 + 1 + upTo(random, height - y1 - 1);
  return { x1, y1, x2, y2 };
}

function cut({ width, data }: RgbImage, { x1, y1, x2, y2 }: Rect): RgbImage {
  const rows = Array.from({ length: y2 - y1 }, (_, row) => {
    const at = (y1 + row) * width;
    return data.subarray((at + x1) * 3, (at + x2) * 3);
  });
  return { width: x2 - x1, height: y2 - y1, data: new Uint8Array(Buffer.concat(rows)) };
}

function changed(picture: RgbImage, { x1, y1, x2, y2 }: Rect, random: Random): RgbImage {
  const data = picture.data.slice();
  for (let y = y1; y < y2; y++)
    for (let at = (y * picture.width + x1) * 3; at < (y * picture.width + x2) * 3; at++) data[at] = upTo(random, 255);
  return { ...picture, data };
}

function defined(picture: RgbImage): Uint8Array {
  const planes = new Uint8Array(planeLayout(picture).byteLength).fill(99);
  convertArea(picture, { x1: 0, y1: 0 }, picture, planes);
  return planes;
}

function oneColour([r, g, b]: readonly [number, number, number]): number[] {
  const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, at) => [r, g, b][at % 3] as number);
  const planes = defined({ width: 4, height: 4, data });
  return [0, 16, 20].map((at) => planes[at] as number);
}

suite('planes of YUV 4:2:0', () => {
  test('colours become what BT.709 in its limited range says', () => {
    assert.deepEqual(oneColour([0, 0, 0]), [16, 128, 128]);
    assert.deepEqual(oneColour([255, 255, 255]), [235, 128, 128]);
    assert.deepEqual(oneColour([128, 128, 128]), [126, 128, 128]);
    assert.deepEqual(oneColour([255, 0, 0]), [63, 102, 240]);
    assert.deepEqual(oneColour([0, 255, 0]), [173, 42, 26]);
    assert.deepEqual(oneColour([0, 0, 255]), [32, 240, 118]);
  });

  test('the kernel converts every picture as the definition does', () => {
    const random = seeded(1);
    for (let count = 0; count < PICTURES; count++) {
      const picture = noise(1 + upTo(random, 70), 1 + upTo(random, 100), random);
      const planes = new Uint8Array(planeLayout(picture).byteLength);
      converter.convertArea(picture, { x1: 0, y1: 0 }, picture, planes);
      assert.deepEqual(planes, defined(picture), `${picture.width}x${picture.height}`);
    }
  });

  test('converting the area of a mouth anew gives what converting the whole picture gives', () => {
    const random = seeded(2);
    for (let count = 0; count < PICTURES; count++) {
      const background = noise(1 + upTo(random, 90), 1 + upTo(random, 90), random);
      const rect = randomRect(background.width, background.height, random);
      const frame = changed(background, rect, random);
      const area = mouthArea(background, rect);
      for (const convert of [convertArea, converter.convertArea.bind(converter)]) {
        const planes = defined(background);
        convert(cut(frame, area), area, background, planes);
        const what = `${background.width}x${background.height}, ${JSON.stringify({ rect, area })}`;
        assert.deepEqual(planes, defined(frame), what);
      }
    }
  });

  test('an area that does not lie in the picture is refused, and planes of another size', () => {
    const picture = { width: 32, height: 32 };
    const pixels = { width: 16, height: 16, data: new Uint8Array(16 * 16 * 3) };
    const planes = new Uint8Array(32 * 32 * 1.5);
    assert.throws(() => converter.convertArea(pixels, { x1: 18, y1: 0 }, picture, planes), RangeError);
    assert.throws(() => converter.convertArea(pixels, { x1: 0, y1: 0 }, picture, planes.subarray(1)), RangeError);
    const short = { ...pixels, data: new Uint8Array(16) };
    assert.throws(() => converter.convertArea(short, { x1: 0, y1: 0 }, picture, planes), RangeError);
  });
});
