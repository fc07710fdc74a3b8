import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { type Queue, UnrecoverableError, Worker } from 'bullmq';
import { loadConfig } from '../../shared/config/load.ts';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { Dispatcher } from '../../worker/media/dispatch.ts';
import { RenderReconciler } from '../../worker/media/reconcile-renders.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { SAMPLE_PLAN, SAMPLE_REQUEST } from '../support/sample-render.ts';
import { until } from '../support/until.ts';

/** Renders whose jobs were lost, whatever step they had reached: two looks, and they go on or end. */

const server = await startRedisServer();
const redis = await server.connect();
const renders = new RenderStore(redis);
const queues = new QueueClients(redis);
const dispatcher = new Dispatcher(redis, queues, loadConfig(undefined, readEnvironment({})));
const warnings: [fields: object, message: string][] = [];
const log = { info() {}, warn: (fields: object, message: string) => void warnings.push([fields, message]) };
let reconciler: RenderReconciler;
beforeEach(async () => {
  await redis.flushall();
  warnings.length = 0;
  reconciler = new RenderReconciler({ redis, renders, queues, dispatcher }, log);
});
after(async () => {
  await dispatcher.close();
  await queues.close();
});

const id = newRenderId();
const media = queues.media('media');
const stitchId = `stitch-${id}`;
const segmentId = (index: number) => `segment-${id}-${index}`;

async function queued(): Promise<void> {
  await renders.admit(id, SAMPLE_REQUEST, 10, undefined);
}

async function preparing(): Promise<void> {
  await queued();
  await renders.startPreparing(id);
}

/** @param flow false: whoever planned it died before its jobs were there. */
async function rendering(flow = true): Promise<void> {
  await preparing();
  await renders.startRendering(id, SAMPLE_PLAN);
  if (flow) await dispatcher.enqueueSegments(await renders.get(id), SAMPLE_PLAN);
}

async function stitching(): Promise<void> {
  await rendering(false);
  await renders.startStitching(id);
}

const addPrepare = async () => await dispatcher.enqueuePrepare(await renders.get(id));

/** Takes the next job of a queue, as a worker would, and ends it. */
async function end(queue: Queue, how: 'completed' | Error): Promise<void> {
  const worker = new Worker(queue.name, undefined, { connection: redis, prefix: KEY_PREFIX, autorun: false });
  const job = await worker.getNextJob('a-token');
  assert.ok(job, `nothing waits on ${queue.name}`);
  if (how === 'completed') await job.moveToCompleted('done', 'a-token', false);
  else await job.moveToFailed(how, 'a-token', false);
  await worker.close();
}

async function lookTwice(): Promise<void> {
  await reconciler.look();
  await reconciler.look();
}

const statusNow = async () => (await renders.get(id)).status;

/** What is missing, and the job that is there again after two looks. */
const GO_ON: [what: string, arrange: () => Promise<unknown>, queue: Queue, jobId: string, state: string][] = [
  ['queued without a job', queued, media, `prepare-${id}`, 'prioritized'],
  ['preparing without a job', preparing, media, `prepare-${id}`, 'prioritized'],
  [
    'preparing with a job that has done nothing',
    async () => {
      await preparing();
      await addPrepare();
      await end(media, 'completed');
    },
    media,
    `prepare-${id}`,
    'prioritized',
  ],
  ['rendering without any job', () => rendering(false), queues.gpu(1), segmentId(1), 'prioritized'],
  [
    'rendering with a segment that is in no list of its queue',
    async () => {
      await rendering();
      await redis.zrem(queues.gpu(0).toKey('prioritized'), segmentId(0));
    },
    queues.gpu(0),
    segmentId(0),
    'prioritized',
  ],
  [
    'rendering with a segment of which nothing is left',
    async () => {
      await rendering();
      await redis.zrem(queues.gpu(1).toKey('prioritized'), segmentId(1));
      await redis.del(queues.gpu(1).toKey(segmentId(1)));
    },
    queues.gpu(1),
    segmentId(1),
    'prioritized',
  ],
  [
    'rendering, and its stitch job is gone while its segments are done',
    async () => {
      await rendering();
      await end(queues.gpu(0), 'completed');
      await end(queues.gpu(1), 'completed');
      await media.remove(stitchId, { removeChildren: false });
    },
    media,
    stitchId,
    'prioritized',
  ],
  ['stitching without a job', stitching, queues.gpu(0), segmentId(0), 'prioritized'],
];

for (const [what, arrange, queue, jobId, state] of GO_ON) {
  test(`goes on: ${what}`, async () => {
    await arrange();
    const before = await statusNow();
    await reconciler.look();
    assert.deepEqual(warnings, [], 'one look is not enough');
    await reconciler.look();
    assert.equal(warnings.length, 1, JSON.stringify(warnings));
    assert.equal(await queue.getJobState(jobId), state);
    assert.equal(await statusNow(), before);
    await lookTwice();
    assert.equal(warnings.length, 1, JSON.stringify(warnings));
  });
}

const REASON = new UnrecoverableError('audio_unreadable: ffmpeg found no sound in it');

/** A job that failed for good while nobody was left to note it in the record. */
const ENDS: [what: string, arrange: () => Promise<unknown>, error: { code: string; message: RegExp }][] = [
  [
    'its prepare job',
    async () => {
      await preparing();
      await addPrepare();
      await end(media, REASON);
    },
    { code: 'audio_unreadable', message: /no sound/ },
  ],
  [
    'a segment',
    async () => {
      await rendering();
      await end(queues.gpu(0), new UnrecoverableError('job stalled more than allowable limit'));
      // BullMQ fails the stitch job when a worker takes it.
      const worker = new Worker(media.name, async () => {}, { connection: redis, prefix: KEY_PREFIX });
      await until('the stitch job has failed', async () => (await media.getJobState(stitchId)) === 'failed');
      await worker.close();
    },
    { code: 'worker_lost', message: /stalled/ },
  ],
];

for (const [what, arrange, error] of ENDS) {
  test(`ends with the reason of ${what} that has failed`, async () => {
    await arrange();
    await lookTwice();
    const record = await renders.get(id);
    assert.equal(record.status, 'failed', JSON.stringify(warnings));
    assert.equal(record.error?.code, error.code);
    assert.match(record.error?.message ?? '', error.message);
    assert.equal(await renders.countActive(), 0);
  });
}

test('renders that go on are left alone', async () => {
  await rendering();
  for (let look = 0; look < 4; look++) await reconciler.look();
  assert.deepEqual(warnings, []);
});

test('a render without a record no longer takes a place', async () => {
  await queued();
  await redis.del(`${KEY_PREFIX}:render:${id}`);
  await lookTwice();
  assert.equal(await renders.countActive(), 0);
});

test('a record that cannot be read is named once and keeps no other from going on', async () => {
  const unreadable = newRenderId(1);
  await renders.admit(unreadable, SAMPLE_REQUEST, 10, undefined);
  await redis.hset(`${KEY_PREFIX}:render:${unreadable}`, 'request', '{');
  await queued();
  await lookTwice();
  assert.equal(await media.getJobState(`prepare-${id}`), 'prioritized');
  assert.equal(warnings.filter(([fields]) => JSON.stringify(fields).includes(unreadable)).length, 1);
});
