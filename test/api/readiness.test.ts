import assert from 'node:assert/strict';
import { mkdir, rename } from 'node:fs/promises';
import { describe, it } from 'node:test';
import type { ReadinessView } from '../../shared/views/health-view.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { until } from '../support/until.ts';

const STUCK_SECONDS = 20;
const { app, services } = await startApi({ limits: { stuck_seconds: STUCK_SECONDS } });
const { redis, config } = services;

async function look(): Promise<ReadinessView & { httpStatus: number }> {
  const answer = await app.inject('/readyz');
  return { ...answer.json(), httpStatus: answer.statusCode };
}

async function untilProblems(...codes: string[]): Promise<ReadinessView & { httpStatus: number }> {
  let view = await look();
  await until(`the problems are ${codes.join(', ') || 'gone'}`, async () => {
    view = await look();
    return view.problems.map(({ code }) => code).join() === codes.join();
  });
  assert.equal(view.httpStatus, codes.length === 0 ? 200 : 503);
  assert.equal(view.status, codes.length === 0 ? 'ready' : 'not ready');
  return view;
}

/** A worker as others see it: its heartbeats, on a connection of its own. */
async function startWorker(workerId: string, gpuId: number | null, changes: Partial<Heartbeat> = {}) {
  const connection = redis.duplicate({ enableOfflineQueue: true });
  const describe = () => ({
    ...{ gpuId, host: 'here', pid: 1, startedAtMs: Date.now(), provider: null, device: null, models: [] },
    ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0, ...changes },
  });
  const heartbeat = startHeartbeat(connection, workerId, describe, QUIET_LOG);
  await heartbeat.first;
  return {
    /** Nothing more is heard of it, as of one that was stopped. */
    freeze() {
      connection.disconnect();
      heartbeat.stop().catch(() => {});
    },
    async end() {
      await heartbeat.stop();
      connection.disconnect();
    },
  };
}

describe('/readyz says what keeps the farm from working', () => {
  it('no worker, and a storage that cannot be written to', async () => {
    const { problems } = await untilProblems('no_gpu', 'no_media_worker', 'storage_failed');
    assert.match(problems[2]?.message ?? '', /ENOENT/);
    await mkdir(config.storageRoot, { recursive: true });
    await untilProblems('no_gpu', 'no_media_worker');
  });

  it('nothing, when a GPU worker and a media worker are there; then a worker that hangs, until it is replaced', async () => {
    const media = await startWorker('media-1', null);
    const hung = await startWorker('gpu-0-1', 0);
    const idle = await startWorker('gpu-1-1', 1);
    assert.deepEqual((await untilProblems()).gpus, [0, 1]);
    await idle.end();
    hung.freeze();
    const { problems } = await untilProblems('worker_silent', 'no_gpu');
    assert.equal(problems[0]?.message, 'the worker of GPU 0 shows no sign of life');
    const next = await startWorker('gpu-0-2', 0);
    assert.deepEqual((await untilProblems()).gpus, [0]);
    await next.end();
    await untilProblems('no_gpu');
    await media.end();
  });

  it('a GPU whose work makes no progress', async () => {
    const media = await startWorker('media-2', null);
    const stuck = await startWorker('gpu-2-1', 2, { silentMs: (STUCK_SECONDS * 1000) / 2 + 1000 });
    await untilProblems('worker_stuck', 'no_gpu');
    await stuck.end();
    await media.end();
  });

  it('a Redis that takes nothing more, while /healthz answers', async () => {
    await redis.config('SET', 'maxmemory', '1');
    try {
      await untilProblems('redis_unavailable');
      assert.equal((await app.inject('/healthz')).statusCode, 200);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
  });

  it('a data folder that is gone', async () => {
    await untilProblems('no_gpu', 'no_media_worker');
    await rename(config.storageRoot, `${config.storageRoot}-elsewhere`);
    await untilProblems('no_gpu', 'no_media_worker', 'storage_failed');
  });
});
