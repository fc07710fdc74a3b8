import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { WorkFolder } from '../../shared/s3/work-folder.ts';

test('a working folder goes with its work, and those of processes that are gone when another one begins', async (t) => {
  const root = await mkdtemp(path.join(tmpdir(), 'farm-test-work-'));
  t.after(() => rm(root, { recursive: true }));
  const uuid = '00000000-0000-4000-8000-000000000000';
  const nobody = 2 ** 22 + 1;
  const names = [
    `${hostname()}.${nobody}.${uuid}`,
    `${hostname()}.${process.ppid}.${uuid}`,
    `${hostname()}.${process.pid}.${uuid}`,
  ];
  for (const name of [...names, `elsewhere.1.${uuid}`, `long-ago.1.${uuid}`]) {
    await mkdir(path.join(root, 'work', name), { recursive: true });
  }
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000);
  await utimes(path.join(root, 'work', names[2] ?? ''), ago(3600), ago(3600));
  await utimes(path.join(root, 'work', `long-ago.1.${uuid}`), ago(90_000), ago(90_000));
  {
    await using folder = await new WorkFolder(root).open();
    const kept = [path.basename(folder.path), names[1], `elsewhere.1.${uuid}`];
    assert.deepEqual((await readdir(path.join(root, 'work'))).sort(), kept.sort());
  }
  assert.equal((await readdir(path.join(root, 'work'))).length, 2);
});
