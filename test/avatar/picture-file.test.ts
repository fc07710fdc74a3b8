import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { checkPictures, decodePicture, readPictureFile, readPictureSize } from '../../worker/avatar/picture-file.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';

const STORED = { width: 64, height: 48 };
/** A picture stored with red and green above blue and white, and where those are to be seen: top left to bottom right. */
const UPRIGHT: readonly (readonly [orientation: number, quarters: string])[] = [
  [1, 'RGBW'],
  [2, 'GRWB'],
  [3, 'WBGR'],
  [4, 'BWRG'],
  [5, 'RBGW'],
  [6, 'BRWG'],
  [7, 'WGBR'],
  [8, 'GWRB'],
];

function quarters(orientation: number) {
  const fill = (colour: string) => ({ create: { width: 32, height: 24, channels: 3 as const, background: colour } });
  return sharp({ create: { ...STORED, channels: 3, background: 'white' } })
    .composite([
      { input: fill('#f00'), left: 0, top: 0 },
      { input: fill('#0f0'), left: 32, top: 0 },
      { input: fill('#00f'), left: 0, top: 24 },
    ])
    .withMetadata({ orientation });
}

/** The colours in the middle of the four quarters. */
function seen({ data, width, height }: RgbImage): string {
  const names = new Map([
    ['true,false,false', 'R'],
    ['false,true,false', 'G'],
    ['false,false,true', 'B'],
    ['true,true,true', 'W'],
  ]);
  return [1, 3]
    .flatMap((y) => [1, 3].map((x) => [x, y]))
    .reduce((text, [x = 0, y = 0]) => {
      const at = (Math.floor((y * height) / 4) * width + Math.floor((x * width) / 4)) * 3;
      return text + (names.get([0, 1, 2].map((band) => (data[at + band] ?? 0) > 128).join()) ?? '?');
    }, '');
}

test('pictures come out upright in each of the eight orientations that EXIF knows', async (t) => {
  const { write } = await openWorkspace(t);
  for (const [orientation, expected] of UPRIGHT) {
    for (const format of ['jpeg', 'png'] as const) {
      const path = await write(`${orientation}.${format}`, await quarters(orientation).toFormat(format).toBuffer());
      const size = await readPictureSize(path);
      assert.deepEqual(size, orientation < 5 ? STORED : { width: 48, height: 64 });
      const image = await decodePicture(await readPictureFile(path), size, path);
      assert.equal(seen(image), expected, `${format} of orientation ${orientation}`);
      await checkPictures([path], size, AbortSignal.any([]));
    }
  }
});

test('grey, 16-bit, transparent and JPEG pictures all become 8-bit RGB', async () => {
  const size = { width: 32, height: 24 };
  const colour = { r: 100, g: 100, b: 100, alpha: 0.5 };
  const picture = () => sharp({ create: { ...size, channels: 4, background: colour } });
  const variants: [name: string, picture: Sharp, tolerance: number][] = [
    ['grey.png', picture().removeAlpha().toColourspace('b-w').png(), 0],
    ['deep.png', picture().removeAlpha().toColourspace('rgb16').png(), 0],
    ['grey16.png', picture().removeAlpha().toColourspace('grey16').png(), 0],
    ['clear.png', picture().png(), 0],
    ['photo.jpg', picture().removeAlpha().jpeg(), 2],
    ['print.jpg', picture().removeAlpha().toColourspace('cmyk').jpeg({ quality: 100 }), 20],
  ];
  for (const [name, variant, tolerance] of variants) {
    const { data } = await decodePicture(await variant.toBuffer(), size, name);
    assert.equal(data.length, 32 * 24 * 3, name);
    for (const value of data.subarray(0, 3)) assert.ok(Math.abs(value - 100) <= tolerance, `${name}: ${value}`);
  }
});

/** Pictures that Pillow has written, or a camera turned, and what Pillow reads at some places of them, upright. */
const OF_PILLOW: Readonly<Record<string, readonly (readonly [x: number, y: number, rgb: string])[]>> = {
  'exif6.jpg': [
    [3, 3, '3,247,99'],
    [92, 3, '5,10,94'],
    [3, 156, '248,246,99'],
    [48, 80, '128,126,101'],
  ],
  'palette.png': [
    [3, 3, '28,25,31'],
    [60, 3, '220,25,175'],
    [32, 24, '154,143,173'],
  ],
  'grey16.png': [
    [3, 3, '12,12,12'],
    [60, 3, '234,234,234'],
    [60, 44, '240,240,240'],
  ],
};

test('turned pictures, palettes and 16 bits have the numbers that Pillow gives them', async () => {
  for (const [name, places] of Object.entries(OF_PILLOW)) {
    const file = path.join(import.meta.dirname, '../fixtures/pictures', name);
    const { data, width } = await decodePicture(await readPictureFile(file), await readPictureSize(file), name);
    const found = places.map(([x, y]) => data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3).join());
    assert.deepEqual(
      found,
      places.map(([, , rgb]) => rgb),
      name,
    );
  }
});

test('a picture of another size is refused with its name and both sizes', async () => {
  const file = await drawPicture('png', { width: 40, height: 24 });
  await assert.rejects(decodePicture(file, { width: 32, height: 24 }, '5.png'), {
    code: 'model_unusable',
    message: /5\.png is 40×24 .* expected 32×24/,
  });
});

for (const [what, cut] of [
  ['damaged', (whole: Uint8Array) => whole.subarray(0, whole.length - 200)],
  ['empty', () => new Uint8Array()],
  ['no', () => new TextEncoder().encode('a text in the guise of a picture')],
] as const) {
  test(`a file that is ${what} picture is refused with its name`, async () => {
    const size = { width: 320, height: 240 };
    const file = cut(await drawPicture('jpg', size));
    const refused = { code: 'model_unusable', message: /5\.jpg cannot be read/ };
    await assert.rejects(decodePicture(file, size, '5.jpg'), refused);
  });
}

test('of many pictures the one that was cut off, or has another size, is named', async (t) => {
  const { write } = await openWorkspace(t);
  const size = { width: 320, height: 240 };
  const paths: string[] = [];
  for (let index = 0; index < 6; index++) paths.push(await write(`${index}.jpg`, await drawPicture('jpg', size)));
  await checkPictures(paths, size, AbortSignal.any([]));
  const whole = await drawPicture('jpg', size);
  const short = await write('short.jpg', whole.subarray(0, whole.length / 2));
  const refused = { code: 'model_unusable', message: /short\.jpg cannot be read/ };
  await assert.rejects(checkPictures([...paths, short], size, AbortSignal.any([])), refused);
  const small = await write('small.jpg', await drawPicture('jpg'));
  await assert.rejects(checkPictures([...paths, small], size, AbortSignal.any([])), /small\.jpg is 32×24/);
  await assert.rejects(checkPictures(paths, size, AbortSignal.abort(new Error('enough'))), /enough/);
});
