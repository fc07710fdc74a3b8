import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { freeStreams, NOWHERE, StreamSlots } from '../../api/live/slots.ts';
import { startRedisServer } from '../support/redis-server.ts';

const server = await startRedisServer();
const redis = await server.connect();
beforeEach(() => redis.flushall());

const slots = new StreamSlots(redis);
/** As another front end sees them. */
const others = new StreamSlots(await server.connect());
const share = (gpuId: number, streams: number) => ({ gpuId, share: 1 / streams });

test('streams fill the first GPU, then the next, then there is no room, whichever front end asks', async () => {
  const homes: (number | undefined)[] = [];
  for (const asking of [slots, others, slots, others, slots, others]) {
    homes.push((await asking.take([share(4, 3), share(2, 2)]))?.gpuId);
  }
  assert.deepEqual(homes, [4, 4, 4, 2, 2, undefined]);
});

test('at the same moment no more get in than fit', async () => {
  const asked = await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 ? slots : others).take([share(0, 7)])));
  assert.equal(asked.filter((slot) => slot !== undefined).length, 7);
});

test('streams of dear and of cheap models share a GPU', async () => {
  assert.ok(await slots.take([share(0, 2)]));
  assert.equal(freeStreams(4, (await slots.usage()).get(0)), 2);
  for (let stream = 1; stream <= 2; stream++) assert.ok(await slots.take([share(0, 4)]));
  assert.equal(await slots.take([share(0, 4)]), undefined);
  assert.deepEqual((await others.usage()).get(0), { streams: 3, share: 1 });
});

test('a key has as many streams as it may have, whichever front end it asks; others have theirs', async () => {
  const ann = { name: 'ann', mostStreams: 2 };
  const first = await slots.take([share(0, 9)], ann);
  await others.take([share(1, 9)], ann);
  for (const asking of [slots, others]) {
    await assert.rejects(asking.take([share(0, 9)], ann), { code: 'key_limit_reached', message: /"ann" has 2/ });
  }
  assert.ok(await slots.take([share(0, 9)], { name: 'anna', mostStreams: 1 }));
  assert.ok(await slots.take([share(0, 9)]));
  await others.release(first?.slotId as string);
  assert.ok(await slots.take([share(0, 9)], ann));
});

test('streams that wait for a GPU count for their key, and take nothing of any GPU', async () => {
  const ann = { name: 'ann', mostStreams: 2 };
  for (let stream = 1; stream <= 2; stream++) assert.ok(await slots.take([NOWHERE], ann));
  await assert.rejects(others.take([NOWHERE], ann), { code: 'key_limit_reached' });
  await assert.rejects(others.take([share(0, 9)], ann), { code: 'key_limit_reached' });
  for (let stream = 1; stream <= 3; stream++) assert.ok(await slots.take([NOWHERE]));
  assert.ok(await others.take([share(0, 1)]));
});

test('a stream that ends makes room', async () => {
  const slot = await slots.take([share(0, 1)]);
  assert.equal(await others.take([share(0, 1)]), undefined);
  await slots.release(slot?.slotId as string);
  assert.deepEqual(await slots.usage(), new Map());
  assert.ok(await others.take([share(0, 1)]));
});

test('a stream that moved counts where it is now, also when it is one too many there', async () => {
  const moving = await slots.take([share(0, 1)]);
  await slots.take([share(1, 1)]);
  await slots.renew(moving?.slotId as string, share(1, 1));
  assert.deepEqual(await slots.usage(), new Map([[1, { streams: 2, share: 2 }]]));
  assert.equal(freeStreams(1, (await slots.usage()).get(1)), 0);
  assert.equal((await slots.take([share(1, 1), share(0, 1)]))?.gpuId, 0);
});

test('all of it runs out by itself when nobody renews it', async () => {
  await slots.take([share(0, 1)]);
  const lifetimeMs = await redis.pttl('{farm}:streams');
  assert.ok(lifetimeMs > 0 && lifetimeMs <= 10_000, `${lifetimeMs} ms`);
});
