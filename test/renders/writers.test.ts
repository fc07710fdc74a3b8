import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';

/** A step of a render that is taken again by the same writer, because its answer was lost, is "done", and changes nothing. */

const server = await startRedisServer();
const redis = await server.connect();
const store = new RenderStore(redis);
const CLAIM = { key: 'monday', fingerprint: 'same' };
const FAILURE = new FarmError('worker_lost', 'It went away').toReport();
beforeEach(async () => void (await redis.flushall()));

const admit = (renderId: string, limit = 10, lastWord = false) =>
  store.admit(renderId, SAMPLE_REQUEST, limit, undefined, undefined, { lastWord });

const STEPS: [string, (writer: string) => Promise<boolean>][] = [
  ['preparing', (writer) => store.startPreparing('r1', writer)],
  ['rendering', (writer) => store.startRendering('r1', SAMPLE_PLAN, writer)],
  ['stitching', (writer) => store.startStitching('r1', writer)],
  ['completed', (writer) => store.complete('r1', writer)],
];

test('each step that comes again is done, by its own writer alone where it may be taken once', async () => {
  await admit('r1');
  for (const [status, step] of STEPS) {
    assert.equal(await step('a'), true, status);
    const before = await redis.hgetall('{farm}:render:r1');
    assert.equal(await step('a'), true, `${status} again`);
    assert.deepEqual(await redis.hgetall('{farm}:render:r1'), before);
    const others = status === 'preparing' || status === 'stitching';
    assert.equal(await step('b'), others, `${status} by another`);
    assert.equal(await step('a'), true, `${status} after another`);
  }
});

test('a cancel or failure that comes again is done; that of another is not', async () => {
  for (const end of [
    (writer: string) => store.cancel('r1', writer),
    (writer: string) => store.fail('r1', FAILURE, writer),
  ]) {
    await redis.flushall();
    await admit('r1');
    assert.deepEqual([await end('a'), await end('a'), await end('b')], [true, true, false]);
  }
});

test('a removal that comes again is done; that of another finds nothing', async () => {
  await admit('r1');
  await store.cancel('r1');
  assert.equal(await store.remove('r1', 'a'), 'cancelled');
  assert.equal(await store.remove('r1', 'a'), 'cancelled');
  assert.equal(await store.remove('r1', 'b'), undefined);
});

test('an admission that comes again is admitted, also when the queue is full by then', async () => {
  assert.deepEqual(await admit('r1', 1), { outcome: 'admitted' });
  assert.deepEqual(await admit('r1', 1), { outcome: 'admitted' });
  assert.deepEqual(await store.admit('r1', SAMPLE_REQUEST, 1, CLAIM), { outcome: 'admitted' });
  assert.equal(await store.countActive(), 1);
});

test('a refusal that was the last word holds against the first command, should it come later', async () => {
  await admit('r1', 1);
  assert.equal((await admit('r2', 1, true)).outcome, 'full');
  await store.cancel('r1');
  await assert.rejects(admit('r2', 1));
  assert.equal(await store.find('r2'), undefined);
  assert.deepEqual(await admit('r3', 1), { outcome: 'admitted' });
});

test('an admission that comes again does not bring a removed render back', async () => {
  await admit('r1');
  await store.cancel('r1');
  await store.remove('r1');
  await assert.rejects(admit('r1'));
  assert.equal(await store.find('r1'), undefined);
});

test('removing an old render leaves a key that another one has claimed since', async () => {
  await store.admit('r1', SAMPLE_REQUEST, 10, CLAIM);
  await redis.del('{farm}:idempotency:monday');
  await store.admit('r2', SAMPLE_REQUEST, 10, CLAIM);
  await store.cancel('r1');
  await store.remove('r1');
  assert.deepEqual(await store.admit('r3', SAMPLE_REQUEST, 10, CLAIM), {
    outcome: 'known',
    renderId: 'r2',
    sameRequest: true,
  });
});

test('a record that cannot be read hides no other, and says by its id what is wrong', async () => {
  await admit('r1');
  await admit('r2');
  await redis.hset('{farm}:render:r1', 'request', '"nonsense"');
  assert.deepEqual(
    (await store.list(10)).records.map(({ renderId }) => renderId),
    ['r2'],
  );
  assert.deepEqual(
    (await store.list(10, undefined, { status: 'queued' })).records.map(({ renderId }) => renderId),
    ['r2'],
  );
  await redis.hset('{farm}:render:r2:segments', '0', '{}');
  await assert.rejects(store.segments.receipts('r2'), { code: 'record_unreadable' });
  await assert.rejects(store.get('r1'), { code: 'record_unreadable', message: /render r1 .*request/s });
});
