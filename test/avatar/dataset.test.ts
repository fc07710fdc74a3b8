import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findDataset, rectsOfPictures } from '../../worker/avatar/dataset.ts';
import { readLandmarkRects } from '../../worker/avatar/given-rects.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';
import { landmarksFor } from '../support/dataset.ts';

const RECT = { x1: 4, y1: 2, x2: 20, y2: 18 };

/** Pictures and landmarks of these numbers, 32×24. */
async function dataset(t: TestContext, pictures: readonly number[], landmarks: readonly number[]) {
  const { folder } = await openWorkspace(t);
  const [pictureFolder, landmarksFolder] = [join(folder, 'full_body_img'), join(folder, 'landmarks')];
  for (const each of [pictureFolder, landmarksFolder]) await mkdir(each);
  for (const number of pictures) await writeFile(join(pictureFolder, `${number}.jpg`), await drawPicture('jpg'));
  for (const number of landmarks) {
    const rect = { ...RECT, x1: RECT.x1 + number, x2: RECT.x2 + number };
    await writeFile(join(landmarksFolder, `${number}.lms`), landmarksFor(rect));
  }
  return { folder, pictureFolder, landmarksFolder };
}

async function rectsFrom(pictureFolder: string, landmarksFolder: string, strict = true) {
  return await rectsOfPictures(pictureFolder, await readLandmarkRects(landmarksFolder), { strict });
}

test('each picture gets the rect of the landmarks of its number', async (t) => {
  const numbers = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
  const { pictureFolder, landmarksFolder } = await dataset(t, numbers, numbers);
  const { rects, size } = await rectsFrom(pictureFolder, landmarksFolder);
  assert.deepEqual(
    rects.map(({ x1 }) => x1),
    numbers.map((number) => RECT.x1 + number),
  );
  assert.deepEqual(rects[0], RECT);
  assert.deepEqual(size, { width: 32, height: 24 });
});

test('pictures without landmarks and landmarks without pictures are named', async (t) => {
  const { pictureFolder, landmarksFolder } = await dataset(t, [0, 1, 2, 3, 4, 5, 6], [0, 9]);
  await assert.rejects(rectsFrom(pictureFolder, landmarksFolder), {
    code: 'model_unusable',
    message:
      /^7 pictures in .*, 1 of them with a rect of .*landmarks: pictures 1–6 have no landmarks; no picture for landmarks 9;/,
  });
});

test('a rect outside its picture is refused with the number of the frame, or filled', async (t) => {
  const { pictureFolder, landmarksFolder } = await dataset(t, [0, 1, 2], [0, 1, 2]);
  await writeFile(join(landmarksFolder, '1.lms'), landmarksFor({ x1: 20, y1: 2, x2: 40, y2: 22 }));
  const outside = /the rect of picture 1 leaves the 32×24 picture \(\[20, 2, 40, 22\]\)/;
  await assert.rejects(rectsFrom(pictureFolder, landmarksFolder), { code: 'model_unusable', message: outside });
  const { rects, findings } = await rectsFrom(pictureFolder, landmarksFolder, false);
  assert.deepEqual(rects[1], { ...RECT, x1: RECT.x1 + 1, x2: RECT.x2 + 1 });
  assert.match(findings[0]?.text ?? '', outside);
});

test('what is no numbered file is told, or refused', async (t) => {
  const { pictureFolder, landmarksFolder } = await dataset(t, [1, 2], [1, 2]);
  await writeFile(join(pictureFolder, 'cover.png'), '');
  await writeFile(join(landmarksFolder, 'face.lms'), '');
  const { findings, numbers } = await rectsFrom(pictureFolder, landmarksFolder, false);
  assert.deepEqual(numbers, [1, 2]);
  const told = findings.map(({ text }) => text.replaceAll(/\S*\//g, ''));
  assert.deepEqual(told, [
    'landmarks has face.lms, without a number for a name: left out',
    'full_body_img has cover.png, not a picture of the avatar by its name: left out',
  ]);
  await rm(join(landmarksFolder, 'face.lms'));
  await assert.rejects(rectsFrom(pictureFolder, landmarksFolder), /has cover\.png, not a picture/);
});

test('the parts of a dataset are found by their names', async (t) => {
  const { folder, pictureFolder, landmarksFolder } = await dataset(t, [], []);
  for (const name of ['anna.mp4', 'aud_ave.npy']) await writeFile(join(folder, name), '');
  assert.deepEqual(await findDataset(folder), {
    folder,
    pictures: { kind: 'folder', path: pictureFolder },
    rects: { kind: 'landmarks', path: landmarksFolder },
  });
});

test('a folder that is not there is a fault of its name', async (t) => {
  const { folder } = await openWorkspace(t);
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(findDataset(join(folder, 'none')), { code: 'input_unreadable', message: /no such folder$/ });
  await assert.rejects(findDataset(join(folder, 'file')), { code: 'input_unreadable', message: /it is a file$/ });
});

test('without pictures there must be one video, or one at the right rate beside its original', async (t) => {
  const { folder } = await openWorkspace(t);
  await assert.rejects(findDataset(folder), { code: 'model_unusable', message: /has no folder landmarks/ });
  await mkdir(join(folder, 'landmarks'));
  await assert.rejects(findDataset(folder), /has no folder full_body_img and no video/);
  await writeFile(join(folder, 'anna.mp4'), '');
  assert.deepEqual((await findDataset(folder)).pictures, { kind: 'video', path: join(folder, 'anna.mp4') });
  await writeFile(join(folder, 'anna_25fps.mp4'), '');
  assert.deepEqual((await findDataset(folder)).pictures, { kind: 'video', path: join(folder, 'anna_25fps.mp4') });
  await writeFile(join(folder, 'other_25fps.mp4'), '');
  await assert.rejects(findDataset(folder), /the videos anna.mp4, anna_25fps.mp4, other_25fps.mp4/);
});
