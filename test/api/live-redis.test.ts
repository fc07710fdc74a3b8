import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveService } from '../../api/live/live.ts';
import { livePayloadKey } from '../../shared/live/live-payload.ts';
import { producerConnection, readerConnection, waitUntilReady } from '../../shared/redis/connections.ts';
import { startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

/** A live request whose payload goes to another Redis than its job, as with redis.live_url. */

/** Much less than the front end waits for an answer of Redis. */
const HELD_MS = 500;
const { services } = await startApi({ live: { frame_channel: 'redis' } });
const { config, redis, queues, models } = services;
const server = await startRedisServer();

test('a job is on its queue only when its payload is in the Redis that it goes over', async (t) => {
  const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  const demo = { modelId: 'demo', loaded: null, problems: [], cost: null, blocked: null, usage };
  const state = { gpuId: 0, host: 'here', pid: 1, startedAtMs: 0, provider: null, device: null, models: [demo] };
  const describeIt = () => ({ ...state, draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 });
  const worker = startHeartbeat(redis, 'worker-0', describeIt, QUIET_LOG);
  t.after(() => worker.stop());
  await worker.first;
  const liveRedis = producerConnection(server.url);
  t.after(() => liveRedis.disconnect());
  await waitUntilReady(liveRedis, 10_000);
  const openReader = () => readerConnection(liveRedis);
  const live = new LiveService({ config, redis, liveRedis, queues, models, log: QUIET_LOG, openReader });
  t.after(() => live.close());

  const operator = await server.connect();
  await operator.client('PAUSE', HELD_MS, 'WRITE');
  const ended = new AbortController();
  const loading = live.load('demo', { onlyGpu: 0 }, ended.signal);
  loading.catch(() => {});
  await until('the job is on its queue', async () => (await queues.gpu(0).getPrioritized()).length === 1);
  const [job] = await queues.gpu(0).getPrioritized();
  assert.equal(await operator.exists(livePayloadKey(job?.data.requestId)), 1);
  ended.abort();
  await assert.rejects(loading, { code: 'request_cancelled' });
});
