import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { Worker } from 'bullmq';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { ownIdentity, type ProcessIdentity } from '../../shared/process/process-life.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { LastingWorker } from '../../worker/jobs/lasting-worker.ts';
import { releaseLostJobs, workerName } from '../../worker/jobs/lost-jobs.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const server = await startRedisServer();
const redis = await server.connect();
const queues = new QueueClients(redis);
after(() => queues.close());

/** A process of this host that has ended. */
async function deadProcess(): Promise<ProcessIdentity> {
  const child = spawn(process.execPath, ['--eval', '']);
  await once(child, 'exit');
  return { ...ownIdentity(), pid: child.pid as number, startMark: undefined };
}

const here = ownIdentity();
const dead = await deadProcess();
const cases = [
  { name: 'of a process that has ended is free at once', holder: dead, isHeld: false },
  {
    name: 'of an earlier process with the id of one that lives is free at once',
    holder: { ...here, startMark: 'x y' },
    isHeld: false,
  },
  { name: 'of a process that lives stays with it', holder: here, isHeld: true },
  {
    name: 'of a process in another container of that host name stays with it',
    holder: { ...dead, pidSpace: 'another one' },
    isHeld: true,
  },
  { name: 'of a process on another host stays with it', holder: { ...dead, host: 'far away' }, isHeld: true },
];
for (const { name, holder, isHeld } of cases) {
  test(`a job ${name}`, async (t) => {
    await redis.flushall();
    const options = { connection: redis, prefix: KEY_PREFIX, name: workerName(holder) };
    const worker = new Worker('media', null, options);
    t.after(() => worker.close());
    const queue = queues.media('media');
    await queue.add('stitch', {}, { jobId: 'stitch-r1', priority: 1 });
    await worker.getNextJob('token', { block: false });
    await releaseLostJobs(queue, redis);
    assert.equal((await redis.exists(queue.toKey('stitch-r1:lock'))) === 1, isHeld);
  });
}

test('a queue on which no job runs is not searched for lost ones, and a job whose worker dies there is found', async (t) => {
  await redis.flushall();
  await redis.config('RESETSTAT');
  const options = { connection: redis, prefix: KEY_PREFIX, stalledInterval: 30, lockDuration: 100 };
  const found: string[] = [];
  const worker = new LastingWorker('media', async () => 'done', { ...options, autorun: false });
  t.after(() => worker.close());
  worker.on('stalled', (jobId) => found.push(jobId));
  await worker.startStalledCheckTimer();
  await until('it has looked several times', async () => (await calls('llen')) >= 3);
  assert.equal(await calls('xtrim'), 0);

  await queues.media('media').add('stitch', {}, { jobId: 'stitch-r2', priority: 1 });
  const dying = new Worker('media', null, options);
  await dying.getNextJob('token', { block: false });
  await dying.close(true);
  await until('the job is found', async () => found.includes('stitch-r2'));
});

/** How often Redis has done a command, in scripts too. */
async function calls(command: string): Promise<number> {
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await redis.info('commandstats'))?.[1] ?? 0);
}
