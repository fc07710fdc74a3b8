import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { codedBytes, codedShareBytes, codePicture, decodeCoded } from '../../worker/avatar/coded-picture.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';
import { photograph, writePhotograph } from './photograph.ts';

const SIZE = { width: 960, height: 720 };
const RECT = { x1: 201, y1: 155, x2: 383, y2: 337 };

async function openPhotograph(t: TestContext): Promise<string> {
  const { folder } = await openWorkspace(t);
  return await writePhotograph(join(folder, 'photo.png'), SIZE, 7);
}

test('523 pictures of 1280×720 stay within 150 MB', () => {
  assert.ok(523 * codedShareBytes({ width: 1280, height: 720 }) <= 150e6);
});

test('a file within its share is kept byte for byte', async (t) => {
  const { write } = await openWorkspace(t);
  for (const extension of ['png', 'jpg'] as const) {
    const path = await write(`a.${extension}`, await drawPicture(extension, SIZE));
    const coded = await codePicture(path, SIZE, RECT);
    assert.deepEqual(coded, { file: await readFile(path) });
    const expected = await sharp(path).raw().toBuffer();
    assert.deepEqual((await decodeCoded(coded, SIZE, path)).data, expected);
  }
});

test('a larger one is brought within it, exact around the mouth and close to it elsewhere', async (t) => {
  const path = await openPhotograph(t);
  assert.ok((await readFile(path)).length > codedShareBytes(SIZE));
  const coded = await codePicture(path, SIZE, RECT);
  assert.ok(codedBytes(coded) <= codedShareBytes(SIZE), `${codedBytes(coded)} > ${codedShareBytes(SIZE)}`);
  const { data } = await decodeCoded(coded, SIZE, path);
  const original = photograph(SIZE, 7);
  let squares = 0;
  for (let at = 0; at < data.length; at++) {
    const x = Math.floor(at / 3) % SIZE.width;
    const y = Math.floor(at / (3 * SIZE.width));
    const difference = (data[at] ?? 0) - (original[at] ?? 0);
    squares += difference ** 2;
    // The rect, grown to whole blocks of 16 pixels.
    if (x >= 192 && x < 384 && y >= 144 && y < 352 && difference !== 0) assert.fail(`x ${x}, y ${y} has changed`);
  }
  const psnr = 10 * Math.log10(255 ** 2 / (squares / data.length));
  assert.ok(psnr > 36, `PSNR ${psnr}`);
});

test('a picture is coded and decoded to the same every time', async (t) => {
  const path = await openPhotograph(t);
  const [first, second] = [await codePicture(path, SIZE, RECT), await codePicture(path, SIZE, RECT)];
  assert.deepEqual(first, second);
  assert.deepEqual((await decodeCoded(first, SIZE, path)).data, (await decodeCoded(second, SIZE, path)).data);
});

test('a rect that reaches the edges is exact as well', async (t) => {
  const { folder } = await openWorkspace(t);
  const size = { width: 403, height: 301 };
  const path = await writePhotograph(join(folder, 'odd.png'), size, 1);
  const coded = await codePicture(path, size, { x1: 300, y1: 250, x2: 403, y2: 301 });
  assert.deepEqual(coded.exact?.area, { x1: 288, y1: 240, x2: 403, y2: 301 });
  const { data } = await decodeCoded(coded, size, path);
  const last = data.length - 3;
  assert.deepEqual([...data.subarray(last)], [...photograph(size, 1).subarray(last)]);
});
