import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { STORED_KEY, STORED_SUMS_KEY } from '../../shared/renders/keys.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

const server = await startRedisServer();
const redis = await server.connect();
const store = new RenderStore(redis);
const MOST = 100;

beforeEach(() => redis.flushall());

async function admit(renderId: string, uploadBytes: number, owner?: string, ownMost = 0, most = MOST): Promise<string> {
  const request = { ...SAMPLE_REQUEST, uploadBytes };
  const rules = { name: owner ?? '', mostUnfinished: 0, mostStoredBytes: ownMost, idempotency: 'apart' } as const;
  const owned = owner === undefined ? undefined : rules;
  return (await store.admit(renderId, request, 1000, undefined, owned, { mostStoredBytes: most })).outcome;
}

async function complete(renderId: string, bytes: number): Promise<void> {
  await store.startPreparing(renderId);
  await store.startRendering(renderId, SAMPLE_PLAN);
  await store.startStitching(renderId);
  // Twice by the same writer, as after a lost answer.
  for (let time = 0; time < 2; time++) assert.ok(await store.complete(renderId, 'me', bytes));
}

test('uploads that come at the same time never pass the quota together', async () => {
  const outcomes = await Promise.all(Array.from({ length: 10 }, (_, index) => admit(`r${index}`, 40)));
  assert.equal(outcomes.filter((outcome) => outcome === 'admitted').length, 2);
  assert.deepEqual(await store.stored.totals(), { bytes: 80, ownBytes: 0 });
  assert.equal(await admit('none', 1000, undefined, 0, 0), 'admitted');
});

test('a render counts with its upload, then with its result, and no more once it is cancelled or removed', async () => {
  for (let time = 0; time < 2; time++) assert.equal(await admit('r1', 60, 'ann'), 'admitted');
  await admit('r2', 30, 'ann');
  assert.deepEqual(await store.stored.totals('ann'), { bytes: 90, ownBytes: 90 });
  await complete('r1', 10);
  assert.deepEqual(await store.stored.totals('ann'), { bytes: 40, ownBytes: 40 });
  await store.cancel('r2');
  for (let time = 0; time < 2; time++) await store.remove('r1', 'me');
  assert.deepEqual(await store.stored.totals('ann'), { bytes: 0, ownBytes: 0 });
  assert.deepEqual(await redis.hgetall(STORED_KEY), {});
});

test('a key has a quota of its own, which others do not see', async () => {
  assert.equal(await admit('r1', 20, 'ann', 30), 'admitted');
  assert.equal(await admit('r2', 20, 'ann', 30), 'owner storage full');
  assert.equal(await admit('r3', 20, 'ben', 30), 'admitted');
  assert.equal(await admit('r4', 20), 'admitted');
  assert.equal(await admit('r5', 41, 'cid'), 'storage full');
  assert.deepEqual(await store.stored.totals('ann'), { bytes: 60, ownBytes: 20 });
});

test('what is counted wrong is corrected by what lies on the disk, of renders that have ended', async () => {
  for (const id of ['ended', 'running', 'lost']) await admit(id, 10, 'ann');
  await complete('ended', 20);
  await redis.del('{farm}:render:lost');
  await redis.hset(STORED_SUMS_KEY, 'all', 12_345, 'of ann', 0, 'of nobody', 7);
  await store.stored.correct([
    { renderId: 'ended', bytes: 25 },
    { renderId: 'running', bytes: 500 },
    { renderId: 'never', bytes: 500 },
  ]);
  assert.deepEqual(await store.stored.totals('ann'), { bytes: 35, ownBytes: 35 });
  assert.deepEqual(await redis.hgetall(STORED_SUMS_KEY), { all: '35', 'of ann': '35' });
});
