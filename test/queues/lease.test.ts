import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { hostname } from 'node:os';
import { beforeEach, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ownIdentity } from '../../shared/process/process-life.ts';
import { Lease, type LeaseHolder } from '../../worker/queues/lease.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const HOLDER_SCRIPT = fileURLToPath(new URL('lease-holder.ts', import.meta.url));
const HERE = hostname();

const server = await startRedisServer();
const redis = await server.connect();
beforeEach(() => redis.flushall());

/** A lease on gpu-0 that is released when the test ends. */
function leaseOf(t: TestContext, workerId: string, holder: Partial<LeaseHolder> = {}): Lease {
  const lease = new Lease(redis, 'gpu-0', { workerId, host: HERE, pid: process.pid, ...holder }, QUIET_LOG);
  t.after(() => lease.release());
  return lease;
}

const mustKeep = (holder: LeaseHolder | undefined) => assert.fail(`The lease was lost to ${holder?.workerId}`);

/** Starts a process that holds the lease, and kills it once it does. Returns its pid. */
async function leaseOfKilledProcess(): Promise<number> {
  const child = fork(HOLDER_SCRIPT, [server.url, 'gpu-0']);
  await once(child, 'message');
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  assert.ok(child.pid);
  return child.pid;
}

test('the second process is told which process on which host holds the lease', async (t) => {
  await leaseOf(t, 'first').take(mustKeep);
  await assert.rejects(leaseOf(t, 'second').take(mustKeep, 0), {
    code: 'gpu_taken',
    message: new RegExp(`gpu-0 is held by process ${process.pid} on host ${HERE}$`),
  });
});

test('leases of other GPUs are no hindrance', async (t) => {
  await leaseOf(t, 'first').take(mustKeep);
  const other = new Lease(redis, 'gpu-1', { workerId: 'second', host: HERE, pid: process.pid }, QUIET_LOG);
  t.after(() => other.release());
  await other.take(mustKeep, 0);
});

test('a released lease is free at once', async (t) => {
  const first = leaseOf(t, 'first');
  await first.take(mustKeep);
  await first.release();
  await leaseOf(t, 'second').take(mustKeep, 0);
});

test('releasing a lease that another holds leaves it with that other', async (t) => {
  await leaseOf(t, 'first').take(mustKeep);
  const second = leaseOf(t, 'second');
  await second.release();
  await assert.rejects(second.take(mustKeep, 0), { code: 'gpu_taken' });
});

test('a lease left by a killed process of this host is taken at once', async (t) => {
  const pid = await leaseOfKilledProcess();
  const [key = ''] = await redis.keys('*lease*');
  assert.match((await redis.get(key)) ?? '', new RegExp(`"pid":${pid}\\b`));
  assert.equal(await redis.pexpire(key, 60_000), 1, 'the lease has not run out by itself, nor will it');
  await leaseOf(t, 'next').take(mustKeep, 0);
  assert.match((await redis.get(key)) ?? '', new RegExp(`"pid":${process.pid}\\b`));
});

test('a lease of another container is respected, though it has the host name of this one', async (t) => {
  const pid = await leaseOfKilledProcess();
  await redis.flushall();
  await leaseOf(t, 'far', { ...ownIdentity(), pid, pidSpace: 'another one' }).take(mustKeep);
  await assert.rejects(leaseOf(t, 'near').take(mustKeep, 0), { code: 'gpu_taken' });
});

test('a lease of another host is respected, though no such process is alive here', async (t) => {
  const pid = await leaseOfKilledProcess();
  await redis.flushall();
  await leaseOf(t, 'far', { host: 'another-host', pid }).take(mustKeep);
  await assert.rejects(leaseOf(t, 'near').take(mustKeep, 0), {
    code: 'gpu_taken',
    message: new RegExp(`held by process ${pid} on host another-host`),
  });
});

test('of several that take a lease at the same time one gets it', async (t) => {
  const leases = ['a', 'b', 'c', 'd'].map((workerId) => leaseOf(t, workerId));
  const outcomes = await Promise.allSettled(leases.map((lease) => lease.take(mustKeep, 0)));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('a lease runs out when nobody renews it', async (t) => {
  await leaseOf(t, 'first').take(mustKeep);
  const [key = ''] = await redis.keys('*lease*');
  const leftMs = await redis.pttl(key);
  assert.ok(leftMs > 0 && leftMs <= 8000, `${leftMs}`);
});

test('a lease is renewed while it is held', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await leaseOf(t, 'first').take(mustKeep);
  const [key = ''] = await redis.keys('*lease*');
  await redis.pexpire(key, 4000);
  t.mock.timers.tick(2500);
  await until('the lease is renewed', async () => (await redis.pttl(key)) > 4000);
});

test('whoever loses its lease is told once, and by whom it is held', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const lost: LeaseHolder[] = [];
  await leaseOf(t, 'first').take((holder) => void (holder && lost.push(holder)));
  await redis.flushall();
  await leaseOf(t, 'second').take(mustKeep);
  t.mock.timers.tick(2500);
  await until('the first is told', () => lost.length > 0);
  t.mock.timers.tick(10_000);
  await redis.ping();
  assert.deepEqual(lost, [{ workerId: 'second', host: HERE, pid: process.pid }]);
});

test('a stand-in takes a lease that nobody holds, and no other', async (t) => {
  const owner = leaseOf(t, 'owner');
  const standIn = leaseOf(t, 'stand-in');
  await owner.take(mustKeep);
  assert.equal(await standIn.takeAbandoned(mustKeep), false);
  await owner.release();
  assert.equal(await standIn.takeAbandoned(mustKeep), true);
});

test('a stand-in sees the claim of the owner that waits, and hands the lease over', async (t) => {
  const owner = leaseOf(t, 'owner');
  const standIn = leaseOf(t, 'stand-in');
  assert.equal(await standIn.takeAbandoned(mustKeep), true);
  assert.equal(await standIn.isClaimed(), false);
  const taken = owner.take(mustKeep);
  await until('the claim is seen', () => standIn.isClaimed());
  await standIn.release();
  assert.equal(await standIn.takeAbandoned(mustKeep), false);
  await taken;
  assert.equal(await standIn.isClaimed(), false);
});
