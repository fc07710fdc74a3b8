import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FlowProducer, type Job, Worker } from 'bullmq';
import { loadConfig } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { SegmentJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, jobOptions, QueueClients } from '../../shared/jobs/queues.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { SegmentPlacement } from '../../worker/jobs/segment-placement.ts';
import { Relocation } from '../../worker/queues/relocation.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';

const server = await startRedisServer();
const redis = await server.connect();
const CONFIG = loadConfig(undefined, readEnvironment({}));
const FAILURE = new FarmError('inference_failed', 'out of memory');
const SEGMENT: SegmentJob = {
  name: 'segment',
  renderId: 'r1',
  modelId: 'ann',
  segmentIndex: 0,
  segmentCount: 1,
  frames: { start: 0, end: 5 },
};

let queues: QueueClients;
let placement: SegmentPlacement;
beforeEach(async () => {
  await redis.flushall();
  queues = new QueueClients(redis);
  placement = new SegmentPlacement(redis, CONFIG);
  clearAfterwards.push(() => queues.close());
});
const clearAfterwards: (() => Promise<void>)[] = [];
afterEach(async () => void (await Promise.all(clearAfterwards.splice(0).map((clear) => clear()))));

/** GPUs with a worker that can render the model. */
async function workersOn(...gpuIds: number[]): Promise<void> {
  await workersWith({}, ...gpuIds);
}

/** The same, which say this of the model besides. */
async function workersWith(more: Pick<Heartbeat['models'][number], 'lacks'>, ...gpuIds: number[]): Promise<void> {
  const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  for (const gpuId of gpuIds) {
    const state: Omit<Heartbeat, 'workerId'> = {
      ...{ gpuId, host: 'here', pid: 1, startedAtMs: 0, provider: 'cpu', device: null },
      models: [{ modelId: 'ann', loaded: null, problems: [], cost: null, blocked: null, ...more, usage }],
      ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 },
    };
    const heartbeat = startHeartbeat(redis, `w${gpuId}`, () => state, QUIET_LOG);
    await heartbeat.first;
    clearAfterwards.push(() => heartbeat.stop());
  }
}

/** Puts a render with one segment on GPU 0 and takes the segment off its queue. */
async function takenSegment(attempts: number, segment = SEGMENT): Promise<{ job: Job; finish(): Promise<unknown> }> {
  const flows = new FlowProducer({ connection: redis, prefix: KEY_PREFIX });
  const options = { ...jobOptions(segment, attempts), failParentOnFailure: true };
  await flows.add({
    ...{ name: 'stitch', queueName: 'media', data: {}, opts: { jobId: 'stitch-r1' } },
    children: [{ name: 'segment', queueName: gpuQueue(0), data: segment, opts: options }],
  });
  const worker = new Worker(gpuQueue(0), null, { connection: redis, prefix: KEY_PREFIX });
  clearAfterwards.push(
    () => worker.close(),
    () => flows.close(),
  );
  const job = (await worker.getNextJob('token')) as Job;
  return { job, finish: () => job.moveToCompleted('moved', 'token', false) };
}

test('a failed segment becomes a child of the same stitch job on the queue of another GPU', async () => {
  await workersOn(0, 3);
  const { job, finish } = await takenSegment(3);
  assert.equal(await new Relocation(0, placement, queues).move(job, FAILURE, true), 'gpu-3');
  await finish();
  const [moved] = await queues.gpu(3).getPrioritized();
  assert.deepEqual(moved?.data, { ...SEGMENT, moved: { times: 1, attempts: 1, failedOn: [0] } });
  assert.equal(moved?.opts.attempts, 2);
  assert.equal(await queues.media('media').getJobState('stitch-r1'), 'waiting-children');
});

test('one that was not begun keeps all its attempts', async () => {
  await workersOn(0, 3);
  const { job } = await takenSegment(3);
  await new Relocation(0, placement, queues).move(job, FAILURE, false);
  assert.equal((await queues.gpu(3).getPrioritized())[0]?.opts.attempts, 3);
});

test('it goes past hosts that lack a tag which its model needs', async () => {
  await workersOn(0, 5);
  await workersWith({ lacks: ['a100'] }, 3, 4);
  const { job } = await takenSegment(3);
  assert.equal(await new Relocation(0, placement, queues).move(job, FAILURE, false), 'gpu-5');
  assert.deepEqual(await placement.place('ann', [5, 5]), [0, 5]);
});

const staying: { name: string; gpus: number[]; attempts: number; error: FarmError; segment?: SegmentJob }[] = [
  { name: 'there is no other GPU', gpus: [0], attempts: 3, error: FAILURE },
  { name: 'it was its last attempt', gpus: [0, 3], attempts: 1, error: FAILURE },
  {
    name: 'no GPU could do better',
    gpus: [0, 3],
    attempts: 3,
    error: new FarmError('storage_failed', 'the disk is full'),
  },
  {
    name: 'the others have failed at it before',
    gpus: [0, 3],
    attempts: 3,
    error: FAILURE,
    segment: { ...SEGMENT, moved: { times: 1, attempts: 1, failedOn: [3] } },
  },
];
for (const { name, gpus, attempts, error, segment } of staying) {
  test(`a segment stays where it is when ${name}`, async () => {
    await workersOn(...gpus);
    const { job } = await takenSegment(attempts, segment);
    assert.equal(await new Relocation(0, placement, queues).move(job, error, true), undefined);
    assert.equal(await queues.gpu(3).count(), 0);
  });
}
