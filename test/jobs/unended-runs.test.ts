import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Job as BullJob, type Queue, Worker } from 'bullmq';
import { jobOptions, QueueClients } from '../../shared/jobs/queues.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { Consumer } from '../../worker/jobs/consumer.ts';
import type { JobHandler } from '../../worker/jobs/job-runner.ts';
import { UnendedRuns } from '../../worker/jobs/unended-runs.ts';
import { SILENT_LOGGER } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const server = await startRedisServer();
const redis = await server.connect();
/** No command of it is refused. */
const operator = await server.connect();
const queues = new QueueClients(redis);
after(() => queues.close());

/** Has a worker run one job, of a single attempt, until it is completed or has failed. */
async function runJob(renderId: string, handler: JobHandler<'stitch'>): Promise<BullJob> {
  const queue = queues.media('media');
  const lost = async () => assert.fail('The job counts as one that ends its workers');
  const consumer = new Consumer<'stitch'>({
    ...{ queue, connection: redis, log: SILENT_LOGGER, onLost: lost, concurrency: 2 },
    handlers: { stitch: handler },
  });
  try {
    const job = await queue.add('stitch', { name: 'stitch', renderId }, jobOptions({ name: 'stitch', renderId }, 1));
    await until('the job has ended', async () => (await job.isCompleted()) || (await job.isFailed()));
    return (await queue.getJob(job.id as string)) as BullJob;
  } finally {
    await consumer.drain(1000);
  }
}

test('a job whose lock runs out while its worker lives is not counted against it, however often', async () => {
  let runs = 0;
  const job = await runJob('r0-a', async (_job, { signal }) => {
    runs++;
    if (runs > 1) return 'done';
    const key = `${KEY_PREFIX}:media:stitch-r0-a`;
    // As if that had happened many times before.
    await redis.hset(key, 'stc', '20');
    // As it happens when Redis refuses, or is away, for longer than the lock lasts.
    await redis.del(`${key}:lock`);
    return await new Promise<string>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  });
  assert.deepEqual([await job.getState(), job.stalledCounter, job.attemptsMade], ['completed', 21, 1]);
  assert.equal(runs, 2);
});

test('a job that is done while Redis refuses everything is not done again, and costs no attempt', async () => {
  let runs = 0;
  let again: Promise<unknown> | undefined;
  const job = await runJob('r0-b', async () => {
    runs++;
    await operator.config('SET', 'min-replicas-to-write', '1');
    again = delay(300).then(() => operator.config('SET', 'min-replicas-to-write', '0'));
    return 'done';
  });
  await again;
  assert.deepEqual([await job.getState(), job.attemptsMade, runs], ['completed', 1, 1]);
});

test('a job is given up when three of its runs never ended, since their processes died', async (t) => {
  const queue = queues.named('deadly');
  const worker = new Worker(queue.name, null, { connection: redis, prefix: KEY_PREFIX });
  t.after(() => worker.close());
  await queue.add('stitch', {}, { jobId: 'stitch-r0-c' });
  const [dying, living] = [new UnendedRuns(redis), new UnendedRuns(await server.connect())];
  const pickUp = async () => await takeAnew(queue, worker);
  for (let death = 0; death < 2; death++) await dying.begin(await pickUp());
  const ended = await pickUp();
  await living.begin(ended);
  living.end(ended);
  await dying.begin(await pickUp());
  await assert.rejects(living.begin(await pickUp()), { code: 'worker_lost', message: /ended its worker 3 times/ });
});

/** Takes the only job of the queue, from whoever has it. */
async function takeAnew(queue: Queue, worker: Worker): Promise<BullJob> {
  for (const job of await queue.getActive()) {
    await redis.set(queue.toKey(`${job.id}:lock`), 'token');
    await job.moveToWait('token');
  }
  return (await worker.getNextJob('token', { block: false })) as unknown as BullJob;
}
