import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { decodeAlpha, hasAlpha } from '../../worker/avatar/picture-alpha.ts';
import { openWorkspace } from '../models/workspace.ts';

const SIZE = { width: 6, height: 4 };
const AREA = SIZE.width * SIZE.height;

/** Grey, with alpha rising from pixel to pixel. */
function picture(levels: 8 | 16) {
  const most = levels === 8 ? 255 : 65_535;
  const alpha = Float64Array.from({ length: AREA }, (_, at) => Math.round((at / (AREA - 1)) * most));
  const channels = [0.5 * most, 0.5 * most, 0.5 * most];
  const values = [...alpha].flatMap((value) => [...channels, value]);
  const data = levels === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
  return sharp(data, { raw: { ...SIZE, channels: 4 } });
}

test('alpha is read of all kinds of pictures that have it, and others are opaque', async (t) => {
  const { write } = await openWorkspace(t);
  const kinds = {
    'rgba.png': picture(8).png(),
    'deep.png': picture(16).toColourspace('rgb16').png(),
    'grey.png': picture(8).toColourspace('b-w').png(),
    'palette.png': picture(8).png({ palette: true, colours: 256, dither: 0 }),
    'web.webp': picture(8).webp({ lossless: true }),
  };
  for (const [name, kind] of Object.entries(kinds)) {
    const file = await kind.toBuffer();
    assert.equal(await hasAlpha(await write(name, file)), true, name);
    const alpha = await decodeAlpha(file, SIZE, name);
    const expected = Array.from({ length: AREA }, (_, at) => Math.round((at / (AREA - 1)) * 255));
    const most = Math.max(...alpha.map((value, at) => Math.abs(value - (expected[at] as number))));
    assert.ok(most <= 2, `${name}: ${alpha}`);
  }
  const opaque = await picture(8).removeAlpha().png().toBuffer();
  assert.equal(await hasAlpha(await write('opaque.png', opaque)), false);
  assert.deepEqual([...(await decodeAlpha(opaque, SIZE, 'opaque.png'))], Array(AREA).fill(255));
});

test('alpha is turned upright with its picture', async () => {
  const turned = await picture(8).withMetadata({ orientation: 6 }).png().toBuffer();
  const alpha = await decodeAlpha(turned, { width: 4, height: 6 }, 'turned.png');
  // A quarter to the right: the first column, from the last row up, is the first row.
  const expected = [3, 2, 1, 0].map((row) => Math.round(((row * SIZE.width) / (AREA - 1)) * 255));
  assert.deepEqual([...alpha.subarray(0, 4)], expected);
  await assert.rejects(decodeAlpha(turned, SIZE, 'turned.png'), {
    code: 'model_unusable',
    message: 'picture turned.png is 4×6 with 4 channels: expected 6×4',
  });
});
