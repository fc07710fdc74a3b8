import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp, { type Sharp } from 'sharp';
import { BackgroundFrames } from '../../worker/avatar/background-frames.ts';
import type { PictureSize } from '../../worker/avatar/picture-file.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';
import { writePhotograph } from './photograph.ts';

const SIZE = { width: 32, height: 24 };
const RECT = { x1: 4, y1: 4, x2: 20, y2: 20 };

function framesOf(paths: readonly string[], size: PictureSize, cachedFrames: number): BackgroundFrames {
  return new BackgroundFrames({ paths, size, rect: () => RECT, cachedFrames });
}

interface Fixture {
  readonly paths: string[];
  readonly frames: BackgroundFrames;
}

/** Three pictures whose red is their index. */
async function openFrames(t: TestContext, cachedFrames: number): Promise<Fixture> {
  const workspace = await openWorkspace(t);
  const paths: string[] = [];
  for (const red of [0, 1, 2]) paths.push(await workspace.write(`${red}.png`, await drawPicture('png', { red })));
  return { paths, frames: framesOf(paths, SIZE, cachedFrames) };
}

test('a picture is read as interleaved RGB', async (t) => {
  const { frames } = await openFrames(t, 3);
  const image = await frames.read(2);
  assert.equal(image.width, 32);
  assert.equal(image.height, 24);
  assert.equal(image.data.length, 32 * 24 * 3);
  assert.deepEqual([...image.data.subarray(0, 6)], [2, 128, 64, 2, 128, 64]);
});

test('grey, 16-bit, transparent and JPEG pictures all become 8-bit RGB', async (t) => {
  const workspace = await openWorkspace(t);
  const colour = { r: 100, g: 100, b: 100, alpha: 0.5 };
  const picture = () => sharp({ create: { ...SIZE, channels: 4, background: colour } });
  const variants: [name: string, picture: Sharp, tolerance: number][] = [
    ['grey.png', picture().removeAlpha().toColourspace('b-w').png(), 0],
    ['deep.png', picture().removeAlpha().toColourspace('rgb16').png(), 0],
    ['grey16.png', picture().removeAlpha().toColourspace('grey16').png(), 0],
    ['clear.png', picture().png(), 0],
    ['photo.jpg', picture().removeAlpha().jpeg(), 2],
    ['print.jpg', picture().removeAlpha().toColourspace('cmyk').jpeg({ quality: 100 }), 20],
  ];
  for (const [name, variant, tolerance] of variants) {
    const path = await workspace.write(name, new Uint8Array(await variant.toBuffer()));
    const { data } = await framesOf([path], SIZE, 1).read(0);
    assert.equal(data.length, 32 * 24 * 3, name);
    for (const value of data.subarray(0, 3)) assert.ok(Math.abs(value - 100) <= tolerance, `${name}: ${value}`);
  }
});

test('two readers of one picture share one decode', async (t) => {
  const { frames } = await openFrames(t, 1);
  const [first, second] = await Promise.all([frames.read(0), frames.read(0)]);
  assert.equal(first, second);
});

test('a cached picture is not read again, even when its file is gone', async (t) => {
  const { frames, paths } = await openFrames(t, 2);
  const image = await frames.read(0);
  await rm(paths[0] ?? '');
  assert.deepEqual([...(await frames.read(0)).data], [...image.data]);
});

test('what is kept stays within the bound, and pictures do not depend on it', async (t) => {
  const { folder } = await openWorkspace(t);
  const size = { width: 400, height: 300 };
  const paths: string[] = [];
  for (let seed = 0; seed < 6; seed++) paths.push(await writePhotograph(join(folder, `${seed}.png`), size, seed));
  const [scarce, ample] = [framesOf(paths, size, 1), framesOf(paths, size, 6)];
  assert.ok(scarce.capacityBytes < ample.capacityBytes);
  const crop = { width: 168, height: 168, data: new Uint8Array(168 * 168 * 3) };
  for (const index of [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1]) {
    const [once, again] = [await scarce.read(index), await ample.read(index)];
    assert.equal(Buffer.compare(once.data, again.data), 0, `picture ${index}`);
    for (const frames of [scarce, ample]) {
      frames.crop(index, () => crop);
      assert.ok(frames.cachedBytes <= frames.capacityBytes, `${frames.cachedBytes} > ${frames.capacityBytes}`);
    }
  }
});

test('a crop is cut once while there is room for it', async (t) => {
  const { frames } = await openFrames(t, 3);
  const crop = { width: 2, height: 2, data: new Uint8Array(12) };
  assert.equal(
    frames.crop(1, () => crop),
    crop,
  );
  assert.equal(
    frames.crop(1, () => assert.fail('cut again')),
    crop,
  );
});

test('a read that failed is tried again', async (t) => {
  const { frames, paths } = await openFrames(t, 2);
  await rm(paths[0] ?? '');
  await assert.rejects(frames.read(0));
  await sharp(await drawPicture('png', { red: 7 })).toFile(paths[0] ?? '');
  assert.equal((await frames.read(0)).data[0], 7);
});

test('a picture of another size is refused with its name and both sizes', async (t) => {
  const workspace = await openWorkspace(t);
  const path = await workspace.write('5.png', await drawPicture('png', { width: 40, height: 24 }));
  await assert.rejects(framesOf([path], SIZE, 1).read(0), {
    code: 'model_unusable',
    message: /5\.png is 40×24 .* expected 32×24/,
  });
});

for (const [what, cut] of [
  ['damaged', (whole: Uint8Array) => whole.subarray(0, whole.length - 200)],
  ['empty', () => new Uint8Array()],
  ['no', () => new TextEncoder().encode('a text in the guise of a picture')],
] as const) {
  test(`a file that is ${what} picture is refused with its name`, async (t) => {
    const workspace = await openWorkspace(t);
    const whole = await drawPicture('jpg', { width: 320, height: 240 });
    const path = await workspace.write('5.jpg', cut(whole));
    await assert.rejects(framesOf([path], { width: 320, height: 240 }, 1).read(0), {
      code: 'model_unusable',
      message: /5\.jpg cannot be read/,
    });
  });
}

test('an index outside the pictures is a fault of the caller', async (t) => {
  const { frames } = await openFrames(t, 2);
  await assert.rejects(frames.read(3), RangeError);
  assert.throws(() => framesOf([], SIZE, 0), RangeError);
});
