import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readCoordRects } from '../../worker/avatar/coords-file.ts';
import { openWorkspace } from '../models/workspace.ts';

/** Six boxes (8, 4, 48, 44) of int32, as NumPy 2 pickles them for an Ultralight avatar of LiveTalking. */
const WRITTEN = fileURLToPath(new URL('../fixtures/livetalking-coords.pkl', import.meta.url));
const BOX = { x1: 8, y1: 4, x2: 48, y2: 44 };

test('boxes of NumPy and of Python are read', async (t) => {
  const { folder } = await openWorkspace(t);
  const { byNumber } = await readCoordRects(WRITTEN);
  assert.deepEqual(
    [...byNumber],
    [...Array(6).keys()].map((number) => [number, BOX]),
  );
  const plain = join(folder, 'coords.pkl');
  await writeFile(
    plain,
    Buffer.from('\x80\x04]((K\x08K\x04K\x30K\x2ct(K\x00K\x00K\x00K\x00t(K\x08K\x04M\x2c\x01M\x28\x01te.', 'latin1'),
  );
  const read = await readCoordRects(plain);
  assert.deepEqual([...read.byNumber.values()], [BOX, { x1: 8, y1: 4, x2: 300, y2: 296 }]);
  assert.match(read.faults.get(1) ?? '', /box 1 of .* is empty: \(0, 0, 0, 0\)/);
});

test('what is no list of boxes is refused, and nothing in it is run', async (t) => {
  const { folder } = await openWorkspace(t);
  const file = join(folder, 'coords.pkl');
  const refused = async (program: string, message: RegExp) => {
    await writeFile(file, Buffer.from(`\x80\x04${program}.`, 'latin1'));
    await assert.rejects(readCoordRects(file), { code: 'model_unusable', message });
  };
  await refused('cposix\nsystem\n(X\x02\0\0\0lstR', /names posix\.system: only whole numbers are read, and nothing/);
  await refused('](K\x01K\x02ta', /expected a list of \(x1, y1, x2, y2\)/);
  await refused('}', /expected a list/);
  await refused('](K\x04K\x2cK\x08K\x20ta', /no squares: it is an avatar for wav2lip or MuseTalk/);
  await writeFile(file, '');
  await assert.rejects(readCoordRects(file), /coords\.pkl cannot be used/);
});
