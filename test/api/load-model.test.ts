import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';

const { app, services } = await startApi({ limits: { live_wait_seconds: 1 } });

type ModelStates = Heartbeat['models'];

function demo(problems: string[]): ModelStates[number] {
  const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  return { modelId: 'demo', loaded: null, problems, cost: null, blocked: null, usage };
}

function startWorker(gpuId: number, models: ModelStates) {
  return startHeartbeat(
    services.redis,
    `gpu-${gpuId}-one`,
    () => ({
      ...{ gpuId, host: 'one', pid: 1, startedAtMs: 0, provider: null, device: null, models },
      ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 },
    }),
    QUIET_LOG,
  );
}

async function load(gpu: number) {
  const answer = await app.inject({ method: 'POST', url: '/v1/models/demo/load', payload: { gpu } });
  const { code, message } = answer.json().error;
  return [answer.statusCode, code, message];
}

describe('a model to be loaded on a GPU', () => {
  it('is waited for while its worker has not heard of it, and refused at once when that cannot use it', async (t) => {
    const heard: ModelStates = [];
    const workers = [startWorker(0, heard), startWorker(1, [demo([])])];
    for (const worker of workers) t.after(() => worker.stop());
    await Promise.all(workers.map(({ first }) => first));
    const cannot = (gpu: number) => `gpu: GPU ${gpu} has no worker that can use "demo"; those that can: 1`;
    assert.deepEqual(await load(5), [400, 'request_invalid', cannot(5)]);
    const unheard = 'The worker of GPU 0 has no "demo" in its configuration';
    assert.deepEqual(await load(0), [504, 'deadline_exceeded', unheard]);
    const gone = new FarmError('request_cancelled', 'The client went away');
    const left = services.live.load('demo', { onlyGpu: 0 }, AbortSignal.abort(gone));
    await assert.rejects(left, { code: 'request_cancelled' });
    const waiting = load(0);
    heard.push(demo(['no picture']));
    await workers[0]?.written();
    assert.deepEqual(await waiting, [400, 'request_invalid', cannot(0)]);
  });
});
