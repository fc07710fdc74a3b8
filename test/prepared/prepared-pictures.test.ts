import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import sharp from 'sharp';
import { decodePicture, type PictureSize } from '../../worker/avatar/picture-file.ts';
import { cutArea } from '../../worker/compositor/area-layout.ts';
import { cutRim } from '../../worker/compositor/crop.ts';
import { PlainCompositor } from '../../worker/compositor/plain-compositor.ts';
import { convertArea, planeLayout } from '../../worker/compositor/planes.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { cutCrop } from '../../worker/pipeline/visual-input.ts';
import type { AvatarSources } from '../../worker/prepared/contract.ts';
import { PreparedAvatars } from '../../worker/prepared/prepared-avatars.ts';
import type { PreparedPictures } from '../../worker/prepared/prepared-pictures.ts';
import { damage, openFolder, RECT, SIZE, writePicture, writeSources } from './sources.ts';

const S = 160;
const QUALITY = 75;
const FACE_BYTES = S * S * 3;

/** Opens an avatar of which nothing is prepared but what is asked for. */
async function open(
  t: TestContext,
  folder: string,
  avatar: AvatarSources,
  {
    quality = QUALITY,
    side = S,
    cachedFrames = 100,
  }: { quality?: number; side?: 160 | 320; cachedFrames?: number } = {},
): Promise<PreparedPictures> {
  const avatars = new PreparedAvatars({ folder, quality, processes: 0 }, cachedFrames);
  const { pictures, release } = await avatars.open('ann', avatar, side);
  t.after(release);
  return pictures;
}

/** Prepares all pictures and remembers what their sources hash to. */
async function prepareAll(pictures: PreparedPictures): Promise<void> {
  for (const index of pictures.missing) await pictures.prepare(index);
  await pictures.saveHashes();
}

async function filesIn(folder: string, suffix = '.picture'): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith(suffix)).map((name) => path.join(folder, name));
}

async function faceOf(pictures: PreparedPictures, index: number): Promise<Uint8Array> {
  const face = new Uint8Array(FACE_BYTES);
  await pictures.face(index, face);
  return face;
}

async function pixelsOf({ source, size }: AvatarSources, index: number): Promise<RgbImage> {
  const { background } = source(index);
  return await decodePicture(await readFile(background), size, background);
}

function cropOf(pixels: RgbImage): RgbImage {
  const crop = { width: S + 8, height: S + 8, data: new Uint8Array((S + 8) ** 2 * 3) };
  cutCrop(pixels, RECT, crop);
  return crop;
}

/** A mask that has a colour left of column `x`, and black right of it. */
async function drawMask(file: string, colour: readonly [number, number, number], x: number, size: PictureSize = SIZE) {
  const data = Buffer.alloc(size.width * size.height * 3);
  for (let place = 0; place < size.width * size.height; place++)
    if (place % size.width < x) data.set(colour, place * 3);
  await sharp(data, { raw: { ...size, channels: 3 } })
    .png()
    .toFile(file);
}

async function cutOut({ data, ...size }: RgbImage, left: number, top: number, width: number, height: number) {
  const raw = { ...size, channels: 3 } as const;
  return new Uint8Array(await sharp(data, { raw }).extract({ left, top, width, height }).raw().toBuffer());
}

describe('a prepared picture', () => {
  it('has what the pipeline and the compositor make of its source, from the maker and from the file', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 2);
    const pixels = await pixelsOf(avatar, 1);
    const crop = cropOf(pixels);
    for (const from of ['the maker', 'the file']) {
      const pictures = await open(t, path.join(folder, 'prepared'), avatar);
      const found = await pictures.picture(1);
      const { jpeg, rows } = new PlainCompositor().encodeBackground(pixels, RECT, QUALITY);
      const area = cutArea(pixels, RECT, false);
      const expected = { ...SIZE, quality: QUALITY, rect: RECT, jpeg, rows, area, rim: cutRim(crop) };
      assert.deepEqual(plain(found), plain(expected), from);
      assert.ok(found.jpeg.buffer instanceof SharedArrayBuffer);
      assert.deepEqual(await faceOf(pictures, 1), await cutOut(crop, 4, 4, S, S), from);
      await pictures.saveHashes();
    }
  });

  it('has the face that the avatar brings along, and the one without a mouth', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 1);
    const [crop, roi] = [path.join(folder, 'crop.png'), path.join(folder, 'roi.png')];
    await writePicture(crop, 50, { width: S, height: S });
    await writePicture(roi, 51, { width: S, height: S });
    const source = (index: number) => ({ ...avatar.source(index), crop, roi });
    const pictures = await open(t, path.join(folder, 'prepared'), { ...avatar, source });
    assert.equal(pictures.hasHiddenFaces, true);
    const hidden = new Uint8Array(FACE_BYTES);
    await pictures.hiddenFace(0, hidden);
    const side = { width: S, height: S };
    assert.deepEqual(hidden, new Uint8Array((await decodePicture(await readFile(roi), side, roi)).data));
    assert.deepEqual(
      await faceOf(pictures, 0),
      new Uint8Array((await decodePicture(await readFile(crop), side, crop)).data),
    );
    assert.deepEqual((await pictures.picture(0)).rim, cutRim(cropOf(await pixelsOf(avatar, 0))), 'around an S² face');
  });

  it('has the weights that its mask and its edge give, and is another one when either changes', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 2);
    const prepared = path.join(folder, 'prepared');
    const mask = path.join(folder, 'mask.png');
    await drawMask(mask, [255, 0, 0], 30);
    const masked = { ...avatar, source: (index: number) => ({ ...avatar.source(index), mask }) };
    const weightsOf = async (of: AvatarSources) => {
      const pictures = await open(t, prepared, of);
      await prepareAll(pictures);
      // From the file, where it was made before.
      return (await (await open(t, prepared, of)).picture(1)).weights;
    };
    const [width, height] = [RECT.x2 - RECT.x1, RECT.y2 - RECT.y1];
    const left = (place: number) => RECT.x1 + (place % width) < 30;
    assert.deepEqual(
      await weightsOf(masked),
      Uint8Array.from({ length: width * height }, (_, at) => (left(at) ? 0 : 255)),
    );
    assert.equal(await weightsOf(avatar), undefined);
    const missing = async (of: AvatarSources) => (await open(t, prepared, of)).missing;
    assert.deepEqual([await missing(masked), await missing(avatar)], [[], []]);
    assert.deepEqual(await missing({ ...masked, blend: 'feather' }), [0, 1]);
    assert.deepEqual(await missing({ ...avatar, blend: 'feather' }), [0, 1]);
    await drawMask(mask, [0, 0, 255], 30);
    assert.deepEqual(await missing(masked), [0, 1]);
    assert.equal(await weightsOf(masked), undefined, 'nothing in it is red or white');
    await drawMask(mask, [255, 255, 255], 30, { width: 20, height: 20 });
    const refused = { code: 'model_unusable', message: /mask\.png is 20×20.*expected 76×58/ };
    await assert.rejects((await open(t, prepared, masked)).picture(0), refused);
  });

  it('is refused when its source cannot be used, and found once that is mended', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 1);
    const { background } = avatar.source(0);
    await writePicture(background, 0, { width: 20, height: 20 });
    const pictures = await open(t, path.join(folder, 'prepared'), avatar);
    await assert.rejects(pictures.picture(0), { code: 'model_unusable', message: /20×20.*expected 76×58/ });
    await writePicture(background, 0);
    assert.equal((await pictures.picture(0)).width, SIZE.width);
    await assert.rejects(pictures.face(0, new Uint8Array(5)), RangeError);
  });

  it('is another one when its source, rect, quality or network changes, and the same under another name', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 3);
    const prepared = path.join(folder, 'prepared');
    const missing = async (of: AvatarSources, options = {}) => (await open(t, prepared, of, options)).missing;
    await prepareAll(await open(t, prepared, avatar));
    assert.deepEqual(await missing(avatar), []);
    assert.deepEqual(
      await missing({ ...avatar, rect: (index) => ({ ...RECT, x2: RECT.x2 - (index === 1 ? 1 : 0) }) }),
      [1],
    );
    assert.deepEqual(await missing(avatar, { quality: 76 }), [0, 1, 2]);
    assert.deepEqual(await missing(avatar, { side: 320 }), [0, 1, 2]);
    await writePicture(avatar.source(2).background, 77);
    assert.deepEqual(await missing(avatar), [2]);
    const moved = path.join(folder, 'moved.png');
    await writeFile(moved, await readFile(avatar.source(0).background));
    const before = await filesIn(prepared);
    await (await open(t, prepared, { ...avatar, frameCount: 1, source: () => ({ background: moved }) })).picture(0);
    assert.deepEqual(await filesIn(prepared), before);
  });

  it('is not looked for in its source again while that has the same size and time', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 1);
    const { background } = avatar.source(0);
    const prepared = path.join(folder, 'prepared');
    const aSecond = 1_700_000_000;
    await utimes(background, aSecond, aSecond);
    const first = await open(t, prepared, avatar);
    const face = await faceOf(first, 0);
    await first.saveHashes();
    await writeFile(background, new Uint8Array((await stat(background)).size));
    await utimes(background, aSecond, aSecond);
    assert.deepEqual(await faceOf(await open(t, prepared, avatar), 0), face, 'nothing reads the source');
  });

  for (const [what, place] of [
    ['head', 9],
    ['table of rows', 130],
    ['JPEG', 800],
    ['weights', -FACE_BYTES - 1],
    ['face', -100],
  ] as const) {
    it(`is made anew when a byte of its ${what} has changed`, async (t) => {
      const folder = await openFolder(t);
      const avatar = { ...(await writeSources(folder, 1)), blend: 'feather' } as const;
      const prepared = path.join(folder, 'prepared');
      await prepareAll(await open(t, prepared, avatar));
      const [file = ''] = await filesIn(prepared);
      const whole = new Uint8Array(await readFile(file));
      await damage(file, whole, place < 0 ? whole.length + place : place);
      const pictures = await open(t, prepared, avatar);
      const [picture, face] = [await pictures.picture(0), await faceOf(pictures, 0)];
      const expected = await open(t, path.join(folder, 'other'), avatar);
      assert.deepEqual(plain(picture), plain(await expected.picture(0)));
      assert.deepEqual(face, await faceOf(expected, 0));
      assert.deepEqual(new Uint8Array(await readFile(file)), whole, 'the file is mended');
    });
  }

  it('is made anew when its file was cut off, at any place, or is gone', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 1);
    const prepared = path.join(folder, 'prepared');
    await prepareAll(await open(t, prepared, avatar));
    const [file = ''] = await filesIn(prepared);
    const whole = new Uint8Array(await readFile(file));
    const opened = await open(t, prepared, avatar);
    const face = await faceOf(opened, 0);
    for (const length of [0, 60, 128, 1000, whole.length - 1]) {
      await truncate(file, length);
      const pictures = await open(t, prepared, avatar);
      await pictures.picture(0);
      assert.deepEqual(await faceOf(pictures, 0), face);
      assert.deepEqual(new Uint8Array(await readFile(file)), whole);
    }
    await rm(prepared, { recursive: true });
    assert.deepEqual(await faceOf(opened, 0), face, 'under a model in use');
  });

  it('is kept in memory within the bound, and read again beyond it', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 4);
    const pictures = await open(t, path.join(folder, 'prepared'), avatar, { cachedFrames: 2 });
    await pictures.fill();
    const { cachedBytes } = pictures;
    const [second, again] = [await pictures.picture(1), await pictures.picture(1)];
    assert.ok(second === again);
    const [third, once] = [await pictures.picture(2), await pictures.picture(2)];
    assert.ok(third !== once);
    assert.deepEqual(plain(third), plain(once));
    assert.equal(pictures.cachedBytes, cachedBytes);
  });

  it('gives its memory to a later picture once nobody reads it, unless it is kept', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 4);
    const pictures = await open(t, path.join(folder, 'prepared'), avatar, { cachedFrames: 1 });
    await prepareAll(pictures);
    await pictures.fill();
    const [kept, second] = [await pictures.picture(0), await pictures.picture(1)];
    const expected = plain(kept);
    for (const read of [kept, second, second]) pictures.giveBack(read);
    const [third, fourth] = [await pictures.picture(2), await pictures.picture(3)];
    assert.ok(third.jpeg.buffer === second.jpeg.buffer, 'used again');
    assert.ok(fourth.jpeg.buffer !== second.jpeg.buffer, 'but once only');
    assert.deepEqual(plain(kept), expected);
  });

  it('is refused where it is larger than a frame can be', async (t) => {
    const folder = await openFolder(t);
    const size = { width: 8193, height: 2 };
    const refused = { code: 'model_unusable', message: /model ann are 8193×2: expected at most 8192 pixels/ };
    await assert.rejects(open(t, folder, { ...(await writeSources(folder, 1)), size }), refused);
  });

  it('is prepared in memory when the folder cannot be written', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 2);
    await writeFile(path.join(folder, 'a-file'), '');
    const pictures = await open(t, path.join(folder, 'a-file'), avatar);
    const expected = await open(t, path.join(folder, 'prepared'), avatar);
    for (const index of [0, 1, 0]) {
      assert.deepEqual(plain(await pictures.picture(index)), plain(await expected.picture(index)));
      assert.deepEqual(await faceOf(pictures, index), await faceOf(expected, index));
    }
    assert.equal(pictures.share.done, 0);
    await pictures.saveHashes();
  });
});

describe('prepared planes', () => {
  it('are those of the background, read from a file the second time and made anew when that is damaged', async (t) => {
    const folder = await openFolder(t);
    const avatar = await writeSources(folder, 1);
    const prepared = path.join(folder, 'prepared');
    const { byteLength } = planeLayout(SIZE);
    const expected = new Uint8Array(byteLength);
    convertArea(await pixelsOf(avatar, 0), { x1: 0, y1: 0 }, SIZE, expected);
    const planesOf = async () => {
      const planes = new Uint8Array(byteLength);
      const pictures = await open(t, prepared, avatar);
      await pictures.planes(0, planes);
      await pictures.saveHashes();
      return planes;
    };
    assert.deepEqual(await planesOf(), expected);
    const [file = ''] = await filesIn(prepared, '.planes');
    const whole = new Uint8Array(await readFile(file));
    const { ino } = await stat(file);
    assert.deepEqual(await planesOf(), expected);
    assert.equal((await stat(file)).ino, ino);
    await damage(file, whole, 200);
    assert.deepEqual(await planesOf(), expected);
    await truncate(file, byteLength);
    assert.deepEqual(await planesOf(), expected);
    assert.deepEqual(new Uint8Array(await readFile(file)), whole);
  });
});

/** Arrays as Buffers of memory of their own, so that only what they hold is compared. */
function plain(picture: object) {
  const copied = (value: unknown) =>
    ArrayBuffer.isView(value) ? Buffer.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) : value;
  return Object.fromEntries(Object.entries(picture).map(([name, value]) => [name, copied(value)]));
}
