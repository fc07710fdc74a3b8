import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { type TestContext, test } from 'node:test';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { openWorkspace } from '../models/workspace.ts';

/** A folder with empty files of these names: listing reads no content. */
async function folderOf(t: TestContext, names: readonly string[]): Promise<string> {
  const workspace = await openWorkspace(t);
  for (const name of names) await workspace.write(name, '');
  return workspace.folder;
}

async function listed(t: TestContext, names: readonly string[], frameLimit?: number): Promise<string[]> {
  const paths = await listBackgroundFiles(await folderOf(t, names), frameLimit);
  return paths.map((path) => basename(path));
}

const STYLES: ((number: number) => string)[] = [
  (number) => `frame_${String(number).padStart(6, '0')}.png`,
  (number) => `frame_${String(number).padStart(4, '0')}.jpg`,
  (number) => `frame_${number}.jpeg`,
  (number) => `${String(number).padStart(6, '0')}.jpg`,
  (number) => `${String(number).padStart(4, '0')}.png`,
  (number) => `${number}.PNG`,
];
for (const style of STYLES) {
  for (const first of [0, 1]) {
    test(`pictures named like ${style(first)} are found in the order of their numbers`, async (t) => {
      const names = Array.from({ length: 12 }, (_, index) => style(first + index));
      assert.deepEqual(await listed(t, names.toReversed()), names);
    });
  }
}

test('other files in the folder are ignored', async (t) => {
  const names = ['0.jpg', 'thumbnail.jpg', 'frame_0.txt', 'my_frame_1.png', '.DS_Store', 'frame_000001.png'];
  assert.deepEqual(await listed(t, names), ['0.jpg', 'frame_000001.png']);
});

test('a gap is refused with the name of the first picture that is missing', async (t) => {
  const names = ['frame_0000.png', 'frame_0001.png', 'frame_0004.png', 'frame_0006.png'];
  await assert.rejects(listed(t, names), {
    code: 'model_unusable',
    message:
      /has a gap: frame_0002\.png is missing, the next picture is frame_0004\.png \(4 pictures found, numbered from 0; missing: 2–3, 5\)/,
  });
});

test('pictures that start after 1 lack the first', async (t) => {
  await assert.rejects(listed(t, ['5.jpg', '6.jpg']), /has a gap: 1\.jpg is missing, the next picture is 5\.jpg/);
});

test('two pictures of one number are refused', async (t) => {
  await assert.rejects(listed(t, ['0.jpg', '1.jpg', '1.png']), /two pictures of number 1: 1\.jpg and 1\.png/);
});

test('a limit leaves out the pictures beyond it, and whatever is wrong there', async (t) => {
  assert.deepEqual(await listed(t, ['0.jpg', '1.jpg', '2.jpg', '9.jpg'], 2), ['0.jpg', '1.jpg']);
});

test('fewer pictures than the limit are refused with both numbers', async (t) => {
  await assert.rejects(listed(t, ['0.jpg', '1.jpg'], 3), {
    code: 'model_unusable',
    message: /has 2 pictures: expected num_frames = 3/,
  });
});

test('a folder without pictures and a folder that is missing are refused with their paths', async (t) => {
  await assert.rejects(listed(t, ['readme.txt']), {
    code: 'model_unusable',
    message: /farm-test-.* has no pictures/,
  });
  await assert.rejects(listBackgroundFiles('/nowhere/at/all'), {
    code: 'model_unusable',
    message: /cannot be read: .*\/nowhere\/at\/all/,
  });
});
