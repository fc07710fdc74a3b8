import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';

const { app, services } = await startApi({ limits: { live_wait_seconds: 1 } });

const load = async (gpu: number) => {
  const answer = await app.inject({ method: 'POST', url: '/v1/models/demo/load', payload: { gpu } });
  const { code, message } = answer.json().error;
  return [answer.statusCode, code, message];
};

describe('a model to be loaded on a GPU', () => {
  it('is waited for while its worker has not heard of it, and refused at once where there is no worker', async (t) => {
    const worker = (): Omit<Heartbeat, 'workerId'> => ({
      ...{ gpuId: 0, host: 'one', pid: 1, startedAtMs: 0, provider: null, device: null, models: [] },
      ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 },
    });
    const heartbeat = startHeartbeat(services.redis, 'gpu-0-one', worker, QUIET_LOG);
    t.after(() => heartbeat.stop());
    await heartbeat.first;
    const nowhere = 'gpu: GPU 5 has no worker that can use "demo"; those that can: none';
    assert.deepEqual(await load(5), [400, 'request_invalid', nowhere]);
    const unheard = 'Only GPU 0 is asked: No GPU worker can use "demo": none has it in its configuration';
    assert.deepEqual(await load(0), [504, 'deadline_exceeded', unheard]);
  });
});
