import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { RenderWork } from '../../shared/renders/work.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';

const server = await startRedisServer();
const redis = await server.connect();
const store = new RenderStore(redis);
const work = new RenderWork(redis);
const LIMITS = { frames: 100, ownFrames: 0 };

beforeEach(() => redis.flushall());

async function admitted(...renderIds: readonly string[]): Promise<void> {
  for (const renderId of renderIds) await store.admit(renderId, SAMPLE_REQUEST, 1000, undefined);
}

test('frames that are claimed at the same time never pass the limit together', async () => {
  const ids = Array.from({ length: 10 }, (_, index) => `r${index}`);
  await admitted(...ids);
  const taken = await Promise.all(ids.map((id) => work.claim(id, undefined, 40, LIMITS)));
  assert.equal(taken.filter(Boolean).length, 2);
  assert.equal((await work.totals()).frames, 80);
});

test('a claim that is made again counts once, and ends with its render', async () => {
  await admitted('r1', 'r2');
  for (let time = 0; time < 2; time++) assert.ok(await work.claim('r1', undefined, 90, LIMITS));
  assert.equal(await work.claim('r2', undefined, 20, LIMITS), false);
  await store.cancel('r1');
  assert.ok(await work.claim('r2', undefined, 20, LIMITS));
  assert.equal((await work.totals()).frames, 20);
});

test('what a render waits for is known before it is read again', async () => {
  await admitted('r1', 'r2');
  await work.claim('r1', undefined, 60, LIMITS);
  assert.ok(await work.mayBegin('r2', undefined, LIMITS));
  assert.equal(await work.claim('r2', undefined, 50, LIMITS), false);
  assert.equal(await work.mayBegin('r2', undefined, LIMITS), false);
  await store.cancel('r1');
  assert.ok(await work.mayBegin('r2', undefined, LIMITS));
});

test('a render that is larger than the limit is taken when there is no other', async () => {
  await admitted('r1', 'r2');
  assert.ok(await work.claim('r1', undefined, 5000, LIMITS));
  assert.equal(await work.claim('r2', undefined, 1, LIMITS), false);
});

test('an owner has a limit of its own, which others do not see', async () => {
  await admitted('r1', 'r2', 'r3');
  const limits = { frames: 0, ownFrames: 50 };
  assert.ok(await work.claim('r1', 'ann', 40, limits));
  assert.equal(await work.claim('r2', 'ann', 40, limits), false);
  assert.ok(await work.claim('r3', 'ben', 40, limits));
  assert.deepEqual(await work.totals('ann'), { frames: 80, ownFrames: 40, uploadBytes: 0, waitingRenders: 1 });
});

test('an upload counts until its frames do', async () => {
  await admitted('r1');
  await work.uploadWaits('r1', 1234, 'ann');
  assert.equal((await work.totals()).uploadBytes, 1234);
  await work.claim('r1', 'ann', 10, LIMITS);
  await work.uploadWaits('r1', 1234, 'ann');
  const claimed = { frames: 10, ownFrames: 10, uploadBytes: 0, waitingRenders: 0 };
  assert.deepEqual(await work.totals('ann'), claimed, 'also when the word of the upload comes again');
});

test('sums that are kept are those that adding up gives', async () => {
  const ids = Array.from({ length: 12 }, (_, index) => `r${index}`);
  await admitted(...ids);
  for (const [index, id] of ids.entries()) {
    await work.uploadWaits(id, 100, 'ann');
    if (index % 2 === 0) await work.claim(id, 'ann', 30, LIMITS);
    if (index % 5 === 0) await store.cancel(id);
  }
  const kept = await work.totals('ann');
  await redis.del(`${KEY_PREFIX}:renders:work:sums`);
  assert.deepEqual(await work.totals('ann'), kept);
  assert.ok(kept.frames > 0 && kept.uploadBytes > 0 && kept.waitingRenders > 0);
});

test('hundreds of looks do not each go over all renders', async () => {
  await admitted('r1', 'r2');
  await work.claim('r1', undefined, 100, LIMITS);
  await redis.config('RESETSTAT');
  for (let time = 0; time < 200; time++) await work.mayBegin('r2', undefined, LIMITS);
  const [, calls] = /cmdstat_hgetall:calls=(\d+)/.exec(await redis.info('commandstats')) ?? [];
  assert.ok(Number(calls ?? 0) < 50, `added up ${calls} times`);
});
