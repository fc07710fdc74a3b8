import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { HealthResponse, LoadModelResponse } from '../../api/grpc/messages/monolithic.ts';
import { FARM, failureOf, farmCode, HEALTH, type Message, MONOLITHIC, TestClient } from './clients.ts';
import { prepareProcesses } from './processes.ts';

describe('health over gRPC', () => {
  it('is NOT_SERVING without a GPU worker, SERVING with one, and NOT_SERVING again when Redis goes', async () => {
    await using processes = await prepareProcesses({ limits: { live_wait_seconds: 1, drain_seconds: 1 } });
    await processes.start('api');
    const client = new TestClient(processes.grpcAddress);
    const watch = client.watch(HEALTH, 'watch', { service: MONOLITHIC });
    const watched: unknown[] = [];
    watch.on('data', (message: Message) => watched.push(message.status));
    watch.on('error', () => {});

    assert.equal(await client.healthStatus(), 'NOT_SERVING');
    const none = await client.unary<HealthResponse>(MONOLITHIC, 'Health', {});
    assert.deepEqual(none, { ...none, healthy: false, loaded_models: 0, max_models: 100, gpu_ids: [] });
    const nobody = await failureOf(client.unary(MONOLITHIC, 'LoadModel', { model_id: 'small', preferred_gpu: -1 }));
    assert.deepEqual([nobody.code, farmCode(nobody)], [status.DEADLINE_EXCEEDED, 'deadline_exceeded']);

    const worker = await processes.start('worker', '--gpu', '0');
    await client.untilHealth('SERVING');
    assert.equal(await client.healthStatus(MONOLITHIC), 'SERVING');
    assert.equal(await client.healthStatus(FARM), 'SERVING');
    const one = await client.unary<HealthResponse>(MONOLITHIC, 'Health', {});
    assert.deepEqual([one.healthy, one.gpu_ids, one.gpu_memory_used_gb], [true, [0], [0]]);

    await processes.stop(worker);
    await client.untilHealth('NOT_SERVING');
    await processes.start('worker', '--gpu', '0');
    await client.untilHealth('SERVING');

    await processes.redis.stop();
    await client.untilHealth('NOT_SERVING');
    assert.equal((await client.unary<HealthResponse>(MONOLITHIC, 'Health', {})).healthy, false);
    for (const ask of [
      () => client.unary(MONOLITHIC, 'ListModels', {}),
      () => client.unary<LoadModelResponse>(MONOLITHIC, 'LoadModel', { model_id: 'small', preferred_gpu: -1 }),
      () => client.unary(FARM, 'GetRender', { render_id: 'r0-00' }),
    ]) {
      const error = await failureOf(ask());
      assert.deepEqual([error.code, farmCode(error)], [status.UNAVAILABLE, 'redis_unavailable']);
    }
    assert.deepEqual(watched.slice(0, 2), ['NOT_SERVING', 'SERVING']);
    client.close();
  });

  it('knows no status of a service that is not there', async () => {
    await using processes = await prepareProcesses();
    await processes.start('api');
    const client = new TestClient(processes.grpcAddress);
    assert.equal((await failureOf(client.unary(HEALTH, 'check', { service: 'nobody' }))).code, status.NOT_FOUND);
    client.close();
  });
});
