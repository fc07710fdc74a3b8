import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { codedShareBytes, codePicture, decodeCoded } from '../../worker/avatar/coded-picture.ts';
import { checkPictures, readPictureSize } from '../../worker/avatar/picture-file.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';
import { photograph } from './photograph.ts';

const STORED = { width: 64, height: 48 };
const RECT = { x1: 8, y1: 8, x2: 40, y2: 40 };
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
      const image = await decodeCoded(await codePicture(path, size, RECT), size, path);
      assert.equal(seen(image), expected, `${format} of orientation ${orientation}`);
      await checkPictures([path], size, AbortSignal.any([]));
    }
  }
});

test('a picture that is coded anew keeps standing upright', async (t) => {
  const { folder } = await openWorkspace(t);
  const [stored, size] = [
    { width: 720, height: 960 },
    { width: 960, height: 720 },
  ];
  const path = join(folder, 'large.png');
  const raw = sharp(photograph(stored, 3), { raw: { ...stored, channels: 3 } });
  await raw.withMetadata({ orientation: 6 }).png({ compressionLevel: 1 }).toFile(path);
  assert.ok((await readFile(path)).length > codedShareBytes(size));
  assert.deepEqual(await readPictureSize(path), size);
  const { data } = await decodeCoded(await codePicture(path, size, RECT), size, path);
  const turned = await sharp(photograph(stored, 3), { raw: { ...stored, channels: 3 } })
    .rotate(90)
    .raw()
    .toBuffer();
  const at = (RECT.y1 * size.width + RECT.x1) * 3;
  assert.deepEqual([...data.subarray(at, at + 96)], [...turned.subarray(at, at + 96)]);
});

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
