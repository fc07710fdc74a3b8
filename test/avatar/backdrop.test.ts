import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { BackdropReader } from '../../worker/avatar/backdrop.ts';
import { openWorkspace } from '../models/workspace.ts';

const SIZE = { width: 40, height: 20 };

/** Red on the left, blue on the right. */
async function halves(width: number, height: number): Promise<Buffer> {
  const half = { width: width / 2, height, channels: 3 } as const;
  const blue = await sharp({ create: { ...half, background: '#0000ff' } })
    .png()
    .toBuffer();
  return await sharp({ create: { ...half, background: '#ff0000' } })
    .extend({ right: width / 2, background: '#ff0000' })
    .composite([{ input: blue, left: width / 2, top: 0 }])
    .png()
    .toBuffer();
}

test('a colour fills the picture, and a picture covers it', async (t) => {
  const { write } = await openWorkspace(t);
  const reader = new BackdropReader();
  const colour = await reader.open({ colour: '#0A141e' }, SIZE);
  assert.deepEqual([colour.id, ...colour.pixels.data.subarray(-3)], ['#0a141e', 10, 20, 30]);
  // Twice as wide as it must be: a quarter of it is cut off on either side.
  const path = await write('wide.png', await halves(160, 40));
  const { pixels, id } = await reader.open({ path }, SIZE);
  const at = (x: number) => [...pixels.data.subarray(x * 3, x * 3 + 3)];
  assert.deepEqual(
    [at(0), at(15), at(25), at(39)],
    [
      [255, 0, 0],
      [255, 0, 0],
      [0, 0, 255],
      [0, 0, 255],
    ],
  );
  assert.equal((await reader.open({ path }, SIZE)).pixels, pixels, 'it is read once');
  await write('wide.png', await halves(80, 40));
  assert.notEqual((await reader.open({ path }, SIZE)).id, id, 'a file that was replaced is another backdrop');
});

test('a backdrop that is missing or no picture is refused with its name', async (t) => {
  const { write } = await openWorkspace(t);
  const reader = new BackdropReader();
  const refused = { code: 'model_unusable', message: /(nowhere|text)\.png cannot be read/ };
  await assert.rejects(reader.open({ path: '/nowhere.png' }, SIZE), refused);
  await assert.rejects(reader.open({ path: await write('text.png', Buffer.from('no picture')) }, SIZE), refused);
});
