import assert from 'node:assert/strict';
import { beforeEach, describe, it, test } from 'node:test';
import { type Job, Worker } from 'bullmq';
import type { SegmentJob } from '../../shared/jobs/jobs.ts';
import {
  firstPriority,
  gpuQueue,
  jobOptions,
  LIVE_PRIORITY,
  QueueClients,
  SEGMENT_BAND,
} from '../../shared/jobs/queues.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import type { RenderPriority } from '../../shared/renders/record.ts';
import { clockOf, fairPriorities, fairTurns, fairTurnsOfOwner, setClockBack } from '../../worker/jobs/fair-order.ts';
import { startRedisServer } from '../support/redis-server.ts';

const BASE = firstPriority('segment');

describe('the priorities of a render', () => {
  const cases = [
    { name: 'grow by a tick for every second of video', clock: 0, frames: [100, 100, 100], due: [4, 8, 12] },
    { name: 'count a part of a second whole', clock: 0, frames: [26, 1], due: [2, 3] },
    { name: 'begin where the clock of the queue stands', clock: 40, frames: [100, 13], due: [44, 45] },
  ];
  for (const { name, clock, frames, due } of cases) {
    it(name, () =>
      assert.deepEqual(
        fairPriorities(clock, frames),
        due.map((ticks) => BASE + ticks),
      ),
    );
  }

  it('stay within what BullMQ takes, and apart from those of other classes', () => {
    const first = fairPriorities(0, [25], 'low')[0] ?? 0;
    const [highest = 0] = fairPriorities(SEGMENT_BAND, [100], 'low');
    assert.ok(highest > first && highest <= 2_097_151);
    assert.ok((fairPriorities(SEGMENT_BAND, [100], 'high')[0] ?? 0) < BASE);
    assert.ok((fairPriorities(SEGMENT_BAND, [100])[0] ?? 0) < first);
  });
});

describe('the clock of a queue', () => {
  const segment = (due: number, frames = 100) => ({ priority: BASE + due, frames });
  const cases = [
    { name: 'stands at 0 when nothing waits', running: [segment(80)], next: undefined, clock: 0 },
    { name: 'stands at the begin of the next segment when none runs', running: [], next: segment(84), clock: 80 },
    { name: 'stands at the end of the one that runs', running: [segment(80)], next: segment(84), clock: 80 },
    { name: 'goes on with short renders in between', running: [segment(82, 25)], next: segment(84), clock: 82 },
    { name: 'does not go back for one that is tried again', running: [segment(4)], next: segment(84), clock: 80 },
    { name: 'takes no time from before it was set back', running: [segment(450_004)], next: segment(8), clock: 8 },
  ];
  for (const { name, running, next, clock } of cases) it(name, () => assert.equal(clockOf(running, next), clock));
});

const server = await startRedisServer();
const redis = await server.connect();
beforeEach(() => redis.flushall());

/** A GPU queue of which a test takes one segment after the other, as a worker would. */
async function openGpu() {
  const queues = new QueueClients(redis);
  const queue = queues.gpu(0);
  const worker = new Worker(gpuQueue(0), null, { connection: redis, prefix: KEY_PREFIX });
  let running: Job | undefined;
  return {
    queue,
    /** Puts a render of these segments there. */
    async add(
      renderId: string,
      frameCounts: readonly number[],
      key?: { owner: string; renders: number } | undefined,
      priority?: RenderPriority,
    ): Promise<void> {
      const firstJobId = `segment-${renderId}-0`;
      const turns = key
        ? await fairTurnsOfOwner(redis, queue, frameCounts, { ...key, priority, firstJobId })
        : await fairTurns(queue, frameCounts, priority);
      for (const [segmentIndex, frames] of frameCounts.entries()) {
        const job: SegmentJob = {
          ...{ name: 'segment', renderId, modelId: 'ann', segmentIndex, segmentCount: frameCounts.length },
          frames: { start: 0, end: frames },
        };
        await queue.add(job.name, job, jobOptions(job, 1, turns[segmentIndex]));
      }
    },
    /** Ends what runs and takes the next: its render and segment. */
    async next(): Promise<string | undefined> {
      await running?.moveToCompleted('done', 'token', false);
      running = (await worker.getNextJob('token', { block: false })) ?? undefined;
      return running && `${running.data.renderId} ${running.data.segmentIndex}`;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([worker.close(), queues.close()]);
    },
  };
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

test('a short render is the next, however much of a long one waits', async () => {
  await using gpu = await openGpu();
  await gpu.add('long', times(20, 100));
  for (let begun = 0; begun < 5; begun++) await gpu.next();
  await gpu.add('short', [13]);
  assert.deepEqual([await gpu.next(), await gpu.next()], ['short 0', 'long 5']);
});

test('renders of the same length take turns, each in its own order', async () => {
  await using gpu = await openGpu();
  await gpu.add('a', times(4, 100));
  assert.equal(await gpu.next(), 'a 0');
  await gpu.add('b', times(3, 100));
  const order = [];
  for (let left = 6; left > 0; left--) order.push(await gpu.next());
  assert.deepEqual(order, ['a 1', 'b 0', 'a 2', 'b 1', 'a 3', 'b 2']);
});

test('a long render gets its share however many short ones come one after the other', async () => {
  await using gpu = await openGpu();
  await gpu.add('long', times(4, 100));
  await gpu.next();
  await gpu.add('short', [25]);
  const order: string[] = [];
  while (order.at(-1) !== 'long 3' && order.length < 100) {
    order.push((await gpu.next()) ?? '');
    // There is always another one waiting.
    if (order.at(-1)?.startsWith('short')) await gpu.add(`short-${order.length}`, [25]);
  }
  const shorts = order.filter((begun) => begun.startsWith('short')).length;
  assert.equal(shorts, 3 * 4 - 1, 'a second of theirs for each second of its own');
});

test('a key with many renders has no more than its share beside a key with one', async () => {
  await using gpu = await openGpu();
  for (let index = 0; index < 6; index++) await gpu.add(`many-${index}`, times(3, 100), { owner: 'ann', renders: 6 });
  await gpu.next();
  await gpu.add('one', times(4, 100), { owner: 'ben', renders: 1 });
  const order: (string | undefined)[] = [];
  for (let left = 8; left > 0; left--) order.push(await gpu.next());
  assert.deepEqual(order, ['many-1 0', 'one 0', 'many-2 0', 'one 1', 'many-3 0', 'one 2', 'many-4 0', 'one 3']);
});

test('a short render of a key need not wait for a long one of the same key', async () => {
  await using gpu = await openGpu();
  await gpu.add('long', times(20, 100), { owner: 'ann', renders: 1 });
  for (let begun = 0; begun < 5; begun++) await gpu.next();
  await gpu.add('short', [13], { owner: 'ann', renders: 2 });
  assert.deepEqual([await gpu.next(), await gpu.next()], ['short 0', 'long 5']);
});

test('a high render goes before all that wait, a low one after them, and live work before both', async () => {
  for (const key of [undefined, { owner: 'ann', renders: 4 }]) {
    await redis.flushall();
    await using gpu = await openGpu();
    await gpu.add('low', times(2, 100), key, 'low');
    await gpu.add('long', times(3, 100), key);
    await gpu.next();
    await gpu.add('high', times(2, 1000), key, 'high');
    await gpu.add('next', [100], key, 'high');
    await gpu.queue.add('live', { name: 'live', renderId: 'live', segmentIndex: 0 }, { priority: LIVE_PRIORITY });
    const order: (string | undefined)[] = [];
    for (let left = 8; left > 0; left--) order.push(await gpu.next());
    assert.deepEqual(order.slice(4), ['long 1', 'long 2', 'low 0', 'low 1'], String(key?.owner));
    assert.deepEqual([order[0], ...order.slice(1, 4).sort()], ['live 0', 'high 0', 'high 1', 'next 0']);
  }
});

test('live jobs that wait do not hide where the clock stands', async () => {
  await using gpu = await openGpu();
  await gpu.add('long', times(3, 100));
  await gpu.next();
  await gpu.queue.add('live', { name: 'live' }, { priority: LIVE_PRIORITY });
  await gpu.add('short', [25]);
  const priorities = (await gpu.queue.getPrioritized()).map(({ priority }) => priority);
  assert.deepEqual(priorities, [LIVE_PRIORITY, BASE + 5, BASE + 8, BASE + 12]);
});

test('a clock that has run for long is set back, and everybody keeps his place', async () => {
  await using gpu = await openGpu();
  await gpu.add('a', times(5, 100));
  for (let begun = 0; begun < 3; begun++) await gpu.next();
  await gpu.add('b', times(2, 50));
  const before = (await gpu.queue.getPrioritized()).map(({ id }) => id);
  await setClockBack(gpu.queue, 10);
  const after = await gpu.queue.getPrioritized();
  assert.deepEqual(
    after.map(({ id }) => id),
    before,
  );
  assert.deepEqual(
    after.map(({ priority }) => priority - BASE),
    [4, 6, 6, 10],
  );
  const [running] = await gpu.queue.getActive();
  assert.equal(running?.priority, BASE + 2);
});
