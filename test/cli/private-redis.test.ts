import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { processIdentitySchema } from '../../shared/process/process-life.ts';
import { waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';
import { until } from '../support/until.ts';

test('a Redis of the farm that is killed is started again at the same address, and ends when it is told to', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-private-redis-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const said: string[] = [];
  const redis = await PrivateRedis.start(folder, { say: (line) => said.push(line) });
  const pidFile = path.join(folder, 'redis.pid');
  try {
    const first = processIdentitySchema.parse(JSON.parse(await readFile(pidFile, 'utf8')));
    process.kill(first.pid, 'SIGKILL');
    await until('Redis runs again', () => said.includes('redis runs again'));
    const connection = workerConnection(redis.url);
    await waitUntilReady(connection, 10_000);
    assert.equal(await connection.set('key', 'value'), 'OK');
    connection.disconnect();
    const second = processIdentitySchema.parse(JSON.parse(await readFile(pidFile, 'utf8')));
    assert.notEqual(second.pid, first.pid);
  } finally {
    await redis.stop();
  }
  assert.deepEqual(said, ['redis ended unexpectedly (by SIGKILL); starting it again', 'redis runs again']);
  assert.equal(existsSync(pidFile), false);
});

test('a Redis of the farm that does not answer is ended and started again', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-private-redis-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const said: string[] = [];
  const states: string[] = [];
  const redis = await PrivateRedis.start(folder, {
    say: (line) => said.push(line),
    onState: ({ state, last_end }) => states.push(`${state} ${last_end}`),
    silentAfterMs: 4000,
  });
  try {
    const { pid } = processIdentitySchema.parse(JSON.parse(await readFile(path.join(folder, 'redis.pid'), 'utf8')));
    process.kill(pid, 'SIGSTOP');
    await until('Redis runs again', () => said.includes('redis runs again'));
  } finally {
    await redis.stop();
  }
  const why = 'it did not answer for 4 s';
  assert.equal(said[0], `redis ended unexpectedly (${why}); starting it again`);
  assert.deepEqual(states, ['running null', `waiting ${why}`, `running ${why}`]);
});
