import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { Worker } from 'bullmq';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { ownIdentity, type ProcessIdentity } from '../../shared/process/process-life.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { releaseLostJobs, workerName } from '../../worker/jobs/lost-jobs.ts';
import { startRedisServer } from '../support/redis-server.ts';

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
