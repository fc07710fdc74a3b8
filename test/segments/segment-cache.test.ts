import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { artifactKeys, keptKeys } from '../../shared/artifacts/keys.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { findUnknownSegments } from '../../shared/retention/kept-segments.ts';
import { SegmentCache } from '../../shared/segments/segment-cache.ts';
import { GB } from '../../shared/units.ts';
import { startRedisServer } from '../support/redis-server.ts';

const server = await startRedisServer();
const redis = await server.connect();
const FACTS = { gpu: 0, worker: 'w', provider: 'cpu', width: 2, height: 2, model_files: [] };
const BYTES = 1000;
const keyOf = (number: number) => String(number).padStart(64, '0');

let folder = '';
let artifacts: LocalArtifacts;
beforeEach(async () => {
  await redis.flushall();
  folder = await mkdtemp(path.join(tmpdir(), 'farm-test-kept-'));
  artifacts = new LocalArtifacts(folder);
});
after(() => rm(folder, { recursive: true, force: true }));

/** A cache with room for so many entries. */
const cacheFor = (entries: number) => new SegmentCache(redis, artifacts, (entries * BYTES) / GB);

function filesOf(renderId: string) {
  const needed = new Map([['video', artifactKeys.segmentVideo(renderId, 0)]]);
  return { needed, besides: new Map([['tile-7', artifactKeys.tile(renderId, 7)]]) };
}

async function keep(cache: SegmentCache, number: number): Promise<void> {
  const files = filesOf(`r${number}`);
  for (const key of files.needed.values()) {
    await artifacts.publish(key, (file) => writeFile(file, Buffer.alloc(BYTES, number)));
  }
  await cache.keep(keyOf(number), files, FACTS);
}

const outcomeOf = async (cache: SegmentCache, number: number, renderId = 'new') =>
  (await cache.restore(keyOf(number), filesOf(renderId))).outcome;

test('what is kept outlives its render, and a hit has its bytes and facts', async () => {
  const cache = cacheFor(3);
  await keep(cache, 1);
  await artifacts.remove(artifactKeys.folder('r1'));
  assert.deepEqual(await cache.restore(keyOf(1), filesOf('new')), { outcome: 'hit', facts: FACTS });
  const restored = await readFile(artifacts.localPath(artifactKeys.segmentVideo('new', 0)));
  assert.ok(restored.equals(Buffer.alloc(BYTES, 1)));
  assert.equal(await outcomeOf(cache, 2), 'miss');
});

test('above the limit the least recently used go, and one that is too large is not kept', async () => {
  const cache = cacheFor(3);
  for (const number of [1, 2, 3]) await keep(cache, number);
  assert.equal(await outcomeOf(cache, 1), 'hit');
  await keep(cache, 4);
  assert.deepEqual(await cache.index.totals(), { entries: 3, bytes: 3 * BYTES });
  assert.deepEqual(await Promise.all([1, 2, 3, 4].map((number) => outcomeOf(cache, number, `n${number}`))), [
    'hit',
    'miss',
    'hit',
    'hit',
  ]);
  await keep(cacheFor(0.5), 5);
  assert.equal(await outcomeOf(cache, 5), 'miss');
  assert.deepEqual(await cache.index.totals(), { entries: 3, bytes: 3 * BYTES });
});

test('the same kept twice counts once, and a smaller limit or a full disk takes what is oldest', async () => {
  const cache = cacheFor(3);
  for (const number of [1, 2, 3, 3]) await keep(cache, number);
  assert.equal(await cache.shrink(1), 1);
  assert.deepEqual(await cache.index.totals(), { entries: 2, bytes: 2 * BYTES });
  assert.equal(await cacheFor(1).shrink(), 1);
  assert.equal(await outcomeOf(cache, 3), 'hit');
  await cacheFor(0).shrink();
  assert.deepEqual(await cache.index.totals(), { entries: 0, bytes: 0 });
  assert.deepEqual(await readdir(path.join(folder, keptKeys.all, '00')), []);
});

test('damage is noticed, leaves nothing in the render, and is kept no more', async () => {
  const cache = cacheFor(5);
  const damages: Record<number, (place: string) => Promise<void>> = {
    1: async (place) => await writeFile(path.join(place, 'video'), Buffer.alloc(BYTES, 9)),
    2: async (place) => await writeFile(path.join(place, 'video'), ''),
    3: async (place) => await rm(path.join(place, 'video')),
    4: async (place) => await writeFile(path.join(place, 'entry.json'), '{"format":1,"fi'),
  };
  for (const [number, spoil] of Object.entries(damages)) {
    await keep(cache, Number(number));
    await artifacts.remove(artifactKeys.folder(`r${number}`));
    await spoil(artifacts.localPath(keptKeys.segment(keyOf(Number(number)))));
    assert.equal(await outcomeOf(cache, Number(number)), 'damaged', number);
    assert.equal(await artifacts.size(artifactKeys.segmentVideo('new', 0)), undefined);
    assert.equal(await outcomeOf(cache, Number(number)), 'miss', number);
  }
  assert.deepEqual(await cache.index.totals(), { entries: 0, bytes: 0 });
});

test('a segment whose render goes meanwhile is not kept', async () => {
  const cache = cacheFor(3);
  const files = filesOf('gone');
  await assert.rejects(cache.keep(keyOf(1), files, FACTS));
  assert.equal(await outcomeOf(cache, 1), 'miss');
});

test('what Redis has forgotten is known again once it is used, and else found as unknown', async () => {
  const cache = cacheFor(3);
  for (const number of [1, 2]) await keep(cache, number);
  await redis.flushall();
  assert.equal(await outcomeOf(cache, 1), 'hit');
  assert.deepEqual(await cache.index.totals(), { entries: 1, bytes: BYTES });
  assert.equal(await findUnknownSegments(artifacts, cache.index), undefined, 'it may just be being written');
  const quiet = await findUnknownSegments(artifacts, cache.index, 0);
  assert.deepEqual(quiet?.keys, [keyOf(2)]);
  await cache.drop(quiet?.keys ?? []);
  assert.equal(await findUnknownSegments(artifacts, cache.index, 0), undefined);
});
