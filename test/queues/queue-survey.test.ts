import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { countJobs } from '../../shared/jobs/queue-counts.ts';
import { enrolGpus, jobOptions, leaseKey, QueueClients } from '../../shared/jobs/queues.ts';
import { startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { QueueSurvey } from '../../worker/queues/queue-survey.ts';
import { WorkStealing } from '../../worker/queues/work-stealing.ts';
import { QUIET_LOG, SILENT_LOGGER } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const server = await startRedisServer();
const redis = await server.connect();
const queues = new QueueClients(redis);

const job = (requestId: string) => ({ name: 'live', requestId, attempt: 1 }) as LiveJob;
const add = (gpuId: number, id: string, delay = 0) =>
  queues.gpu(gpuId).add('live', job(id), { ...jobOptions(job(id), 1), delay });

describe('what GPU workers know of each other’s queues', () => {
  beforeEach(() => redis.flushall());

  it('counts as BullMQ does', async () => {
    await enrolGpus(redis, [3, 4]);
    for (const id of ['a', 'b', 'c']) await add(3, id);
    await add(3, 'later', 60_000);
    const { prioritized, delayed } = await queues.gpu(3).getJobCounts('prioritized', 'delayed');
    assert.deepEqual(await countJobs(redis, [3, 4]), [
      { waiting: prioritized, delayed, active: 0 },
      { waiting: 0, delayed: 0, active: 0 },
    ]);
    assert.equal(prioritized, 3);
  });

  it('names busy queues, those without a worker first, and those that nobody serves', async (t) => {
    await enrolGpus(redis, [0, 1, 2, 3]);
    await beatOf(t, 1);
    await beatOf(t, 2);
    for (const gpuId of [0, 1, 2]) await redis.set(leaseKey(`gpu-${gpuId}`), 'somebody');
    await Promise.all([add(1, 'a'), add(2, 'b'), add(2, 'c'), add(3, 'd', 60_000)]);
    const { busy, orphans } = await new QueueSurvey(redis).read();
    assert.deepEqual(
      busy.map(({ gpuId, waiting, abandoned, workerId }) => [gpuId, waiting, abandoned, workerId]),
      [
        [3, 1, true, null],
        [2, 2, false, 'worker-2'],
        [1, 1, false, 'worker-1'],
      ],
    );
    assert.deepEqual(orphans, [3]);
  });

  it('takes a queue whose worker is about to end for one without a worker', async (t) => {
    await enrolGpus(redis, [1]);
    await beatOf(t, 1, true);
    await redis.set(leaseKey('gpu-1'), 'somebody');
    await add(1, 'a', 60_000);
    const { busy } = await new QueueSurvey(redis).read();
    assert.deepEqual(
      busy.map(({ gpuId, waiting, abandoned }) => [gpuId, waiting, abandoned]),
      [[1, 1, true]],
    );
  });

  it('is looked up once for all workers of a large farm', async () => {
    const gpuIds = Array.from({ length: 200 }, (_, gpuId) => gpuId);
    await enrolGpus(redis, gpuIds);
    await add(7, 'a');
    await redis.config('RESETSTAT');
    const survey = new QueueSurvey(redis);
    const first = await survey.read();
    // It stands for a second, in which a busy machine may not get through all that follows.
    await redis.set(TURN_KEY, 1, 'PX', 60_000);
    const surveys = [first, ...(await Promise.all(gpuIds.map(() => survey.read())))];
    const calls = await callsOf();
    assert.equal(calls('llen'), 2 * gpuIds.length, 'each queue is counted once, not once for each worker');
    assert.deepEqual(
      [calls('mget'), calls('eval')],
      [surveys.length + 1, 1],
      'a survey costs one command to read; beside that the leases and the queues are read once, for all',
    );
    for (const { busy } of surveys)
      assert.deepEqual(
        busy.map(({ gpuId }) => gpuId),
        [7],
      );
  });

  it('keeps an idle one from looking into a queue whose own worker is about to take what waits there', async (t) => {
    await enrolGpus(redis, [0, 1]);
    await beatOf(t, 0);
    await beatOf(t, 1);
    await redis.set(leaseKey('gpu-1'), 'somebody');
    await add(1, 'a');
    const survey = new QueueSurvey(redis);
    assert.equal((await survey.read()).busy.length, 1);
    await redis.config('RESETSTAT');
    const own = { ownGpuId: 0, ownWorkerId: 'worker-0', isIdle: () => true, sharing: true };
    const runnerFor = () => assert.fail('nothing is to be taken');
    const stealing = new WorkStealing({ redis, queues, survey, log: SILENT_LOGGER, runnerFor, ...own });
    t.after(() => stealing.stop(0));
    await until('it has looked twice', async () => (await callsOf())('smembers') >= 2 * LOOKS);
    assert.equal((await callsOf())('evalsha'), 0);
  });
});

/** Sets that a survey reads: GPUs, workers, and GPUs that are out of service. */
const LOOKS = 3;
/** Says, while it stands, that nobody needs to look again. */
const TURN_KEY = '{farm}:queues:survey:turn';

/** How often Redis has done a command, in scripts too. */
async function callsOf(): Promise<(command: string) => number> {
  const done = await redis.info('commandstats');
  return (command) => Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(done)?.[1] ?? 0);
}

async function beatOf(t: TestContext, gpuId: number, draining = false): Promise<void> {
  const state = { gpuId, host: 'here', pid: 1, startedAtMs: 1, provider: null, device: null, models: [] };
  const describeIt = () => ({ ...state, draining, runningJobs: 0, eventLoopBlockedMaxMs: 0 });
  const beat = startHeartbeat(redis, `worker-${gpuId}`, describeIt, QUIET_LOG);
  t.after(() => beat.stop());
  await beat.first;
}
