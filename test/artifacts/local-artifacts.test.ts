import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { artifactStoreContract } from './store-contract.ts';

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-artifacts-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

artifactStoreContract('local folder', async (t) => new LocalArtifacts(await makeFolder(t)));

test('a local store has no drafts left, whether publishing went well or not', async (t) => {
  const folder = await makeFolder(t);
  const store = new LocalArtifacts(folder);
  const key = artifactKeys.video('r1');
  await store.publish(key, (file) => writeFile(file, 'first'));
  await assert.rejects(
    store.publish(key, async (file) => {
      await writeFile(file, 'half');
      throw new Error('no');
    }),
  );
  await assert.rejects(store.publish(key, async () => {}));
  const copy = artifactKeys.receipt('r1');
  for (let times = 0; times < 2; times++) await store.copy(key, copy);
  await store.copy(artifactKeys.upload('r1'), copy);
  assert.deepEqual((await filesUnder(folder)).sort(), ['receipt.json', 'video.mp4']);
});

test('a draft lies beside its file, so that it can take its place in one step', async (t) => {
  const folder = await makeFolder(t);
  const key = artifactKeys.video('r1');
  await new LocalArtifacts(folder).publish(key, async (file) => {
    assert.equal(path.dirname(file), path.join(folder, 'renders/r1'));
    assert.match(path.basename(file), /^\.video\.[0-9a-f-]{36}\.mp4$/);
    await writeFile(file, 'x');
  });
});

test('a local store that cannot be written says so, with the key', async (t) => {
  const folder = await makeFolder(t);
  const store = new LocalArtifacts(folder);
  const onFullDisk = store.publish(artifactKeys.video('r1'), () => writeFile('/dev/full', 'x'));
  const message = /^Could not write renders\/r1\/video\.mp4: ENOSPC/;
  await assert.rejects(onFullDisk, { code: 'storage_full', message });
  await writeFile(path.join(folder, 'a-file'), 'x');
  const inFile = new LocalArtifacts(path.join(folder, 'a-file')).publish(artifactKeys.video('r1'), () =>
    writeFile('', ''),
  );
  await assert.rejects(inFile, {
    code: 'storage_failed',
    message: /^Could not write renders\/r1\/video\.mp4: ENOTDIR/,
  });
});

test('a store beside another one with a longer name does not reach into it', async (t) => {
  const folder = await makeFolder(t);
  await mkdir(path.join(folder, 'data-old'));
  const store = new LocalArtifacts(path.join(folder, 'data'));
  assert.throws(() => store.localPath('../data-old/x'), RangeError);
});

test('names of segments and frames sort in the order of their numbers', () => {
  const numbers = [0, 9, 10, 99, 100, 12_345, 999_999];
  for (const name of [artifactKeys.segmentVideo, artifactKeys.frame]) {
    const keys = numbers.map((index) => name('r1', index));
    assert.deepEqual([...keys].sort(), keys);
  }
});

test('everything of a render lies in its folder', () => {
  const { folder, ...files } = artifactKeys;
  const names = Object.values(files) as ((renderId: string, index?: number) => string)[];
  for (const nameOf of names) {
    const name = nameOf.length > 1 ? nameOf('r1', 3) : nameOf('r1');
    assert.ok(name.startsWith(`${folder('r1')}/`), name);
  }
});
