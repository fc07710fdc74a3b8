import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { jobOptions, QueueClients } from '../../shared/jobs/queues.ts';
import { readSeries } from '../../shared/metrics/series.ts';
import { takeCounts } from '../../shared/metrics/tally.ts';
import { Consumer } from '../../worker/jobs/consumer.ts';
import { reportJobs } from '../../worker/jobs/running-jobs.ts';
import { SILENT_LOGGER as log } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const server = await startRedisServer();

it('runs of jobs are counted by how they end, and shown while they run', async () => {
  const connection = await server.connect();
  const queues = new QueueClients(connection);
  const queue = queues.media('media');
  const shown: ReturnType<typeof reportJobs>[] = [];
  const handler = async (_: unknown, { attempt }: { attempt: number }) => {
    shown.push(reportJobs());
    if (attempt === 1) throw new FarmError('encode_failed', 'the first time it fails');
    return 'done';
  };
  const options = { queue, connection, log, onLost: async () => {} };
  const consumer = new Consumer({ ...options, handlers: { prepare: handler, stitch: handler } });
  takeCounts();
  const job = { name: 'prepare', renderId: 'r0-a' } as const;
  await queue.add('prepare', job, jobOptions(job, 2));
  await until('it is done', async () => (await queue.getCompletedCount()) === 1);
  await consumer.drain(1000);
  await queues.close();
  const counted = readSeries(Object.fromEntries([...takeCounts()].map(([field, by]) => [field, String(by)])));
  const outcomes = counted.get('farm_jobs_total')?.map(({ labels, value }) => [labels.job, labels.outcome, value]);
  assert.deepEqual(outcomes, [
    ['prepare', 'retry', 1],
    ['prepare', 'done', 1],
  ]);
  const waits = counted.get('farm_job_wait_seconds')?.[0]?.buckets.reduce((sum, each) => sum + each, 0);
  assert.equal(waits, 1, 'it waited once, however often it was tried');
  assert.deepEqual(
    shown[0]?.jobs?.map(({ job, place }) => [job, place]),
    [['prepare', 0]],
  );
  assert.deepEqual(reportJobs(), { runningJobs: 0, jobs: [] });
});
