import assert from 'node:assert/strict';
import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { artifactKeys, keptKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';

const KEY = artifactKeys.segmentVideo('r1', 7);

/** What every artifact store keeps to. `makeStore` opens an empty one that goes when the test ends. */
export function artifactStoreContract(storeName: string, makeStore: (t: TestContext) => Promise<ArtifactStore>): void {
  const put = (store: ArtifactStore, key: string, content: string | Uint8Array) =>
    store.publish(key, (file) => writeFile(file, content));

  test(`${storeName}: what is published can be read, and has its size`, async (t) => {
    const store = await makeStore(t);
    assert.equal(await store.size(KEY), undefined);
    const content = Uint8Array.from({ length: 300_000 }, (_, index) => index % 251);
    await put(store, KEY, content);
    assert.equal(await store.size(KEY), content.length);
    assert.deepEqual(new Uint8Array(await buffer(store.read(KEY))), content);
    await using files = await store.checkOut([KEY]);
    assert.deepEqual(new Uint8Array(await readFile(files.path(KEY))), content);
  });

  test(`${storeName}: publishing passes on what the writer returns`, async (t) => {
    const store = await makeStore(t);
    const returned = await store.publish(KEY, async (file) => {
      await writeFile(file, 'x');
      return { frames: 3 };
    });
    assert.deepEqual(returned, { frames: 3 });
  });

  test(`${storeName}: the writer gets a path with the extension of the key`, async (t) => {
    const store = await makeStore(t);
    await store.publish(KEY, async (file) => {
      assert.equal(path.extname(file), '.mp4');
      await writeFile(file, 'x');
    });
  });

  test(`${storeName}: a file appears only when it is complete`, async (t) => {
    const store = await makeStore(t);
    await store.publish(KEY, async (file) => {
      await writeFile(file, 'half');
      assert.equal(await store.size(KEY), undefined);
      await appendFile(file, ' and half');
      assert.equal(await store.size(KEY), undefined);
    });
    assert.equal(await text(store.read(KEY)), 'half and half');
  });

  test(`${storeName}: a failed writer leaves nothing, and its error comes through as it is`, async (t) => {
    const store = await makeStore(t);
    const failure = new Error('ffmpeg fell over');
    await assert.rejects(
      store.publish(KEY, async (file) => {
        await writeFile(file, 'half');
        throw failure;
      }),
      failure,
    );
    assert.equal(await store.size(KEY), undefined);
  });

  test(`${storeName}: a failed writer leaves the file that was there`, async (t) => {
    const store = await makeStore(t);
    await put(store, KEY, 'first');
    await assert.rejects(
      store.publish(KEY, async (file) => {
        await writeFile(file, 'half');
        throw new Error('no');
      }),
    );
    assert.equal(await text(store.read(KEY)), 'first');
  });

  test(`${storeName}: a writer that writes nothing is a failure`, async (t) => {
    const store = await makeStore(t);
    await assert.rejects(store.publish(KEY, async () => {}));
    assert.equal(await store.size(KEY), undefined);
  });

  test(`${storeName}: publishing again replaces the file`, async (t) => {
    const store = await makeStore(t);
    await put(store, KEY, 'the first, which is longer');
    await put(store, KEY, 'second');
    assert.equal(await text(store.read(KEY)), 'second');
    assert.equal(await store.size(KEY), 6);
  });

  test(`${storeName}: of several publishers at once, one has its file there whole`, async (t) => {
    const store = await makeStore(t);
    const contents = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(100_000));
    await Promise.all(contents.map((content) => put(store, KEY, content)));
    assert.ok(contents.includes(await text(store.read(KEY))));
  });

  test(`${storeName}: one who reads while the file is replaced sees the old one whole`, async (t) => {
    const store = await makeStore(t);
    const before = 'before '.repeat(100_000);
    await put(store, KEY, before);
    const reading = store.read(KEY)[Symbol.asyncIterator]();
    let got = String((await reading.next()).value);
    await put(store, KEY, 'after');
    for (let step = await reading.next(); !step.done; step = await reading.next()) got += String(step.value);
    assert.equal(got, before);
  });

  test(`${storeName}: a range is read with both its ends`, async (t) => {
    const store = await makeStore(t);
    await put(store, KEY, '0123456789');
    const read = async (start: number, end: number) => await text(store.read(KEY, { start, end }));
    assert.equal(await read(0, 0), '0');
    assert.equal(await read(3, 5), '345');
    assert.equal(await read(8, 9), '89');
    assert.equal(await read(0, 9), '0123456789');
  });

  test(`${storeName}: reading what is not there fails`, async (t) => {
    const store = await makeStore(t);
    await assert.rejects(text(store.read(KEY)));
  });

  test(`${storeName}: a copy has the bytes of its source, and neither goes or changes with the other`, async (t) => {
    const store = await makeStore(t);
    const copy = keptKeys.file('0f', 'video');
    await put(store, KEY, 'first');
    assert.equal(await store.copy(KEY, copy), true);
    assert.equal(await store.copy(KEY, copy), true, 'also where it is there already');
    await put(store, KEY, 'second');
    assert.equal(await text(store.read(copy)), 'first');
    assert.equal(await store.copy(KEY, copy), true);
    await store.remove(artifactKeys.folder('r1'));
    assert.equal(await text(store.read(copy)), 'second');
  });

  test(`${storeName}: what is not there cannot be copied, and what was there before stays`, async (t) => {
    const store = await makeStore(t);
    const copy = keptKeys.file('0f', 'video');
    await put(store, copy, 'kept');
    assert.equal(await store.copy(KEY, copy), false);
    assert.equal(await text(store.read(copy)), 'kept');
  });

  test(`${storeName}: removing takes a file, or a folder with all that is in it, and nothing else`, async (t) => {
    const store = await makeStore(t);
    const [one, two] = [artifactKeys.frame('r1', 0), artifactKeys.frame('r1', 1)];
    const other = artifactKeys.video('r10');
    for (const key of [one, two, other]) await put(store, key, 'x');
    await store.remove(one);
    assert.equal(await store.size(one), undefined);
    assert.equal(await store.size(two), 1);
    await store.remove(artifactKeys.folder('r1'));
    assert.equal(await store.size(two), undefined);
    assert.equal(await store.size(other), 1);
  });

  test(`${storeName}: bytes are received as they come, through what counts them`, async (t) => {
    const store = await makeStore(t);
    const pieces = Array.from({ length: 40 }, (_, index) => Buffer.alloc(300_000, index));
    await store.receive(KEY, Readable.from(pieces), new PassThrough());
    assert.ok(Buffer.concat(pieces).equals(await buffer(store.read(KEY))));
  });

  test(`${storeName}: what comes and then fails leaves what was there, and its error comes through`, async (t) => {
    const store = await makeStore(t);
    await put(store, KEY, 'before');
    const fault = new Error('the sender has gone');
    const failing = Readable.from(
      (async function* () {
        yield Buffer.alloc(100_000);
        throw fault;
      })(),
    );
    await assert.rejects(store.receive(KEY, failing, new PassThrough()), fault);
    assert.equal(String(await store.contents(KEY)), 'before');
  });

  test(`${storeName}: a small file is put and got as it is, and none is none`, async (t) => {
    const store = await makeStore(t);
    assert.equal(await store.contents(KEY), undefined);
    await store.put(KEY, 'ä text');
    assert.equal(String(await store.contents(KEY)), 'ä text');
    await store.put(KEY, '');
    assert.equal((await store.contents(KEY))?.length, 0);
    assert.equal(await store.size(KEY), 0);
  });

  test(`${storeName}: files are on this machine as they lie in the store, until they are disposed of`, async (t) => {
    const store = await makeStore(t);
    const list = artifactKeys.segmentList('r1');
    await store.put(list, 'list');
    await store.put(KEY, 'segment');
    await using files = await store.checkOut([list, KEY]);
    assert.equal(path.relative(path.dirname(files.path(list)), files.path(KEY)), path.basename(KEY));
    assert.equal(await readFile(files.path(KEY), 'utf8'), 'segment');
    await assert.rejects(store.checkOut([KEY, artifactKeys.segmentVideo('r1', 8)]), { code: 'storage_failed' });
  });

  test(`${storeName}: a folder is published with all that is in it, and comes whole`, async (t) => {
    const store = await makeStore(t);
    const folder = artifactKeys.footagePictures('r1');
    const made = await store.publishFolder(folder, async (place) => {
      await mkdir(path.join(place, 'inner'), { recursive: true });
      for (const name of ['1.jpg', 'inner/2.jpg']) await writeFile(path.join(place, name), name);
      return 2;
    });
    assert.equal(made, 2);
    for (let time = 0; time < 2; time++) {
      await using files = await store.checkOut([], { folders: [folder] });
      assert.equal(await readFile(path.join(files.path(folder), 'inner/2.jpg'), 'utf8'), 'inner/2.jpg');
      assert.deepEqual((await readdir(files.path(folder))).sort(), ['1.jpg', 'inner']);
    }
  });

  test(`${storeName}: an open file gives any part of itself, and less at its end`, async (t) => {
    const store = await makeStore(t);
    const content = Buffer.from(Uint8Array.from({ length: 2_300_000 }, (_, index) => (index * index) % 251));
    await put(store, KEY, content);
    await using file = await store.open(KEY);
    assert.equal(file.sizeBytes, content.length);
    for (const [start, length] of [
      [0, 10],
      [1_048_570, 20],
      [5, 2_000_000],
      [2_299_990, 10],
      [100, 0],
    ] as const) {
      const part = new Uint8Array(length);
      assert.equal(await file.read(part, start), length);
      assert.ok(content.subarray(start, start + length).equals(part), `${start}, ${length}`);
    }
    assert.equal(await file.read(new Uint8Array(100), 2_299_950), 50);
    assert.equal(await file.read(new Uint8Array(100), 9_000_000), 0);
    await assert.rejects(store.open(artifactKeys.segmentVideo('r1', 8)), { code: 'storage_failed' });
  });

  test(`${storeName}: what is below a folder is listed, with its size and age; a touch makes it young`, async (t) => {
    const store = await makeStore(t);
    const listed = async (folder: string) => {
      const found = new Map<string, { bytes: number; quietMs: number }>();
      for await (const { key, ...facts } of store.list(folder)) found.set(key, facts);
      return found;
    };
    assert.equal((await listed('renders')).size, 0);
    for (const key of [KEY, artifactKeys.receipt('r1'), artifactKeys.receipt('r10')]) await store.put(key, key);
    const found = await listed(artifactKeys.folder('r1'));
    assert.deepEqual([...found.keys()].sort(), [artifactKeys.receipt('r1'), KEY].sort());
    assert.equal(found.get(KEY)?.bytes, KEY.length);
    assert.ok(Math.abs(found.get(KEY)?.quietMs ?? Infinity) < 60_000);
    await store.touch(KEY);
    await store.touch(artifactKeys.video('r1'));
    assert.equal(String(await store.contents(KEY)), KEY);
    assert.equal(await store.size(artifactKeys.video('r1')), undefined);
  });

  test(`${storeName}: the folders of renders have their parts, and those the bytes below them`, async (t) => {
    const store = await makeStore(t);
    await store.put(KEY, 'abc');
    await store.put(artifactKeys.segmentList('r1'), 'defg');
    await store.put(artifactKeys.receipt('r1'), '{}');
    const [folder, ...others] = await store.renderFolders();
    assert.equal(others.length, 0);
    assert.equal(folder?.name, 'r1');
    assert.equal(folder?.bytes, 9);
    assert.deepEqual(
      new Map(folder?.parts.map(({ name, bytes }) => [name, bytes])),
      new Map([
        ['receipt.json', 2],
        ['segments', 7],
      ]),
    );
  });

  test(`${storeName}: a look at whether it works leaves nothing`, async (t) => {
    const store = await makeStore(t);
    await store.put(KEY, 'x');
    await store.probe();
    assert.equal((await store.renderFolders()).length, 1);
  });

  test(`${storeName}: removing what is not there is fine`, async (t) => {
    const store = await makeStore(t);
    await store.remove(KEY);
    await store.remove(artifactKeys.folder('r1'));
  });

  test(`${storeName}: a folder has no size`, async (t) => {
    const store = await makeStore(t);
    await put(store, KEY, 'x');
    assert.equal(await store.size(artifactKeys.segmentFolder('r1')), undefined);
  });

  test(`${storeName}: a key outside the store is refused by every verb`, async (t) => {
    const store = await makeStore(t);
    for (const key of ['../x', 'renders/../../x', '/etc/passwd', '.', '', 'renders/..']) {
      const refusal = { name: 'RangeError', message: `Artifact key leaves the store: ${key}` };
      await assert.rejects(store.checkOut([key]), refusal, key);
      await assert.rejects(store.contents(key), refusal, key);
      assert.throws(() => store.read(key), refusal, key);
      await assert.rejects(store.remove(key), refusal, key);
      await assert.rejects(store.size(key), refusal, key);
      await assert.rejects(store.copy(key, KEY), refusal, key);
      await assert.rejects(store.copy(KEY, key), refusal, key);
      await assert.rejects(put(store, key, 'x'), refusal, key);
    }
  });
}
