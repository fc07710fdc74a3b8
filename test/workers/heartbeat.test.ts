import assert from 'node:assert/strict';
import { beforeEach, type TestContext, test } from 'node:test';
import { type Heartbeat, readHeartbeats, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const UNUSED = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };

const server = await startRedisServer();
const redis = await server.connect();
beforeEach(() => redis.flushall());

function state(changes: Partial<Heartbeat> = {}): Omit<Heartbeat, 'workerId'> {
  return {
    gpuId: 0,
    host: 'here',
    pid: 1,
    startedAtMs: 5,
    provider: null,
    device: null,
    models: [
      {
        modelId: 'ann',
        loaded: { loadMs: 90, msPerFrame: 8, loadedAtMs: 7, memoryBytes: 1024 },
        problems: [],
        cost: { loadMs: 90, frameMs: 20 },
        blocked: { code: 'inference_failed', reason: 'out of memory', sinceMs: 7 },
        usage: UNUSED,
      },
    ],
    draining: false,
    runningJobs: 0,
    eventLoopBlockedMaxMs: 3,
    ...changes,
  };
}

/** A heartbeat that is there, and stops when the test ends. */
async function beat(t: TestContext, workerId: string, describe: () => Omit<Heartbeat, 'workerId'>) {
  const heartbeat = startHeartbeat(redis, workerId, describe, QUIET_LOG);
  t.after(() => heartbeat.stop());
  await heartbeat.first;
  return heartbeat;
}

test('a worker is seen from its first heartbeat until it stops', async (t) => {
  assert.deepEqual(await readHeartbeats(redis), []);
  const heartbeat = await beat(t, 'w1', () => state());
  assert.deepEqual(await readHeartbeats(redis), [{ workerId: 'w1', ...state() }]);
  await heartbeat.stop();
  assert.deepEqual(await readHeartbeats(redis), []);
  // Only that it has left on purpose, for as long as somebody may ask.
  const keys = await redis.keys('*');
  assert.deepEqual(keys, ['{farm}:left:w1']);
  assert.ok((await redis.pttl('{farm}:left:w1')) > 0);
});

test('a heartbeat says what is true now', async (t) => {
  let draining = false;
  const heartbeat = await beat(t, 'w1', () => state({ draining }));
  draining = true;
  heartbeat.now();
  await until('the worker is seen draining', async () => (await readHeartbeats(redis))[0]?.draining === true);
});

test('a heartbeat comes again and again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let pid = 1;
  await beat(t, 'w1', () => state({ pid: pid++ }));
  await until('the third heartbeat is seen', async () => {
    t.mock.timers.tick(1000);
    return (await readHeartbeats(redis))[0]?.pid === 3;
  });
});

test('a worker that falls silent is gone within seconds', async (t) => {
  await beat(t, 'w1', () => state());
  const [key = ''] = await redis.keys('*heartbeat*');
  const leftMs = await redis.pttl(key);
  assert.ok(leftMs > 0 && leftMs <= 3000, `${leftMs}`);
});

test('a worker whose heartbeat has run out is forgotten', async (t) => {
  await beat(t, 'w1', () => state());
  await beat(t, 'w2', () => state({ gpuId: 1 }));
  const [key = ''] = await redis.keys('*heartbeat:w1');
  await redis.del(key);
  assert.deepEqual(
    (await readHeartbeats(redis)).map(({ workerId }) => workerId),
    ['w2'],
  );
  const [roll = ''] = await redis.keys('*workers');
  assert.deepEqual(await redis.smembers(roll), ['w2']);
});

test('GPU workers come first, in the order of their numbers, then of their age', async (t) => {
  await beat(t, 'media', () => state({ gpuId: null }));
  await beat(t, 'gpu-10', () => state({ gpuId: 10 }));
  await beat(t, 'gpu-2-new', () => state({ gpuId: 2, startedAtMs: 9 }));
  await beat(t, 'gpu-2-old', () => state({ gpuId: 2, startedAtMs: 4 }));
  assert.deepEqual(
    (await readHeartbeats(redis)).map(({ workerId }) => workerId),
    ['gpu-2-old', 'gpu-2-new', 'gpu-10', 'media'],
  );
});

test('a heartbeat of another version of the farm is passed over', async (t) => {
  await beat(t, 'w1', () => state());
  const [key = ''] = await redis.keys('*heartbeat*');
  await redis.set(key, '{"workerId":"w1","gpu":"zero"}');
  assert.deepEqual(await readHeartbeats(redis), []);
});
