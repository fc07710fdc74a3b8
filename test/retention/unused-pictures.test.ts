import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { findUnusedPictures, removeUnusedPictures } from '../../shared/retention/unused-pictures.ts';

const HOUR_MS = 3_600_000;
const KEY = '0a'.repeat(16);

test('prepared pictures go when nobody has used them for long, and nothing else of any folder does', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-unused-'));
  t.after(() => rm(folder, { recursive: true }));
  const put = async (name: string, hoursAgo: number) => {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, '12345');
    const then = new Date(Date.now() - hoursAgo * HOUR_MS);
    await utimes(file, then, then);
  };
  const draft = '.01234567-89ab-cdef-0123-456789abcdef';
  const going = [`0a/${KEY}.picture`, `0a/${KEY}.planes`, `hashes/${KEY}.json`, `0a/${draft}`];
  for (const name of going) await put(name, 73);
  const staying = [`0b/${KEY}.picture`, `0b/${draft}`, 'photos/2024.picture', `0c/${KEY}.jpg`, `${KEY}.picture`];
  for (const name of staying.slice(0, 2)) await put(name, 23);
  for (const name of staying.slice(2)) await put(name, 900);

  assert.equal(await findUnusedPictures(folder, 0), undefined, 'for ever');
  assert.equal(await findUnusedPictures(path.join(folder, 'absent'), 3), undefined);
  const found = await findUnusedPictures(folder, 3);
  assert.ok(found);
  assert.deepEqual(found.files.map((file) => path.relative(folder, file)).sort(), going.sort());
  assert.equal(found.bytes, 5 * going.length);
  await removeUnusedPictures(found);
  const left = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  assert.deepEqual(
    left.map(({ parentPath, name }) => path.relative(folder, path.join(parentPath, name))).sort(),
    staying.sort(),
  );
});
