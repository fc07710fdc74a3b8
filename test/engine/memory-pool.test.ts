import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freeNow } from '../../shared/process/free-now.ts';
import { LastingPools, MemoryPool } from '../../worker/engine/memory-pool.ts';

const NEVER = new AbortController().signal;

test('a piece is used again when all its holders have released it, and not before', async () => {
  const pool = new MemoryPool(300, 1);
  const first = await pool.take(NEVER);
  assert.equal(first.bytes.length, 300);
  assert.ok(first.bytes.buffer instanceof SharedArrayBuffer);
  first.hold();
  let taken = false;
  const next = pool.take(NEVER).then((memory) => {
    taken = true;
    return memory;
  });
  first.release();
  await new Promise(setImmediate);
  assert.equal(taken, false);
  first.release();
  assert.equal(await next, first);
});

test('there are never more pieces than allowed, and who waits gets them in the order of asking', async () => {
  const pool = new MemoryPool(1, 2);
  const [a, b] = [await pool.take(NEVER), await pool.take(NEVER)];
  const order: string[] = [];
  const third = pool.take(NEVER).then((memory) => [order.push('third'), memory] as const);
  const fourth = pool.take(NEVER).then((memory) => [order.push('fourth'), memory] as const);
  b.release();
  a.release();
  assert.equal((await third)[1], b);
  assert.equal((await fourth)[1], a);
  assert.deepEqual(order, ['third', 'fourth']);
});

test('who is aborted while waiting leaves the line, and takes no piece with them', async () => {
  const pool = new MemoryPool(1, 1);
  const held = await pool.take(NEVER);
  const controller = new AbortController();
  const given = pool.take(controller.signal);
  const other = pool.take(NEVER);
  controller.abort(new Error('nobody waits'));
  await assert.rejects(given, /nobody waits/);
  held.release();
  assert.equal(await other, held);
});

test('memory that nobody holds cannot be released', async () => {
  const pool = new MemoryPool(1, 1);
  const memory = await pool.take(NEVER);
  memory.release();
  assert.throws(() => memory.release(), RangeError);
});

test('a pool lasts from task to task while pieces of the same size are asked for', async () => {
  const pools = new LastingPools();
  const first = await pools.of('pictures', 100, 2).take(NEVER);
  first.release();
  assert.equal(await pools.of('pictures', 100, 2).take(NEVER), first);
  assert.notEqual(pools.of('planes', 100, 2), pools.of('pictures', 100, 2));
  assert.equal((await pools.of('pictures', 60, 2).take(NEVER)).bytes.length, 60);
});

test('memory is given back at once, but never what others may still read', () => {
  const whole = new Uint8Array(100);
  freeNow(whole);
  assert.equal(whole.length, 0);
  const buffer = new ArrayBuffer(100);
  freeNow(new Uint8Array(buffer, 0, 50));
  assert.equal(buffer.byteLength, 100);
  const shared = new Uint8Array(new SharedArrayBuffer(100));
  freeNow(shared);
  assert.equal(shared.length, 100);
});
