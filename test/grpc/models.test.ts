import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { HealthResponse, LoadModelResponse, ModelInfo, ModelStats } from '../../api/grpc/messages/monolithic.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { infer } from '../farm/small-models.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { failureOf, farmCode, MONOLITHIC, openStream, type StreamCall, TestClient } from './clients.ts';
import { InferenceClient } from './pair-clients.ts';

describe('models over gRPC', () => {
  let farm: TestFarm;
  let client: TestClient;
  let inference: InferenceClient;
  const load = (model_id: string, preferred_gpu: number) =>
    client.unary<LoadModelResponse>(MONOLITHIC, 'LoadModel', { model_id, preferred_gpu });
  const list = async () => (await client.unary<{ models: ModelInfo[] }>(MONOLITHIC, 'ListModels', {})).models;

  before(async () => {
    const inferencePort = await freePort();
    farm = await startFarm({
      models: { first: SMALL_MODEL, second: SMALL_MODEL, broken: { ...SMALL_MODEL, background_dir: '' } },
      gpus: { count: 2 },
      capacity: { max_models: 7 },
      live: { max_streams_per_gpu: 1 },
      server: { inference_port: `127.0.0.1:${inferencePort}` },
    });
    client = new TestClient(farm.grpcAddress);
    inference = new InferenceClient(`127.0.0.1:${inferencePort}`);
  });
  after(async () => {
    for (const each of [client, inference]) each.close();
    await farm[Symbol.asyncDispose]();
  });

  it('are all listed, loaded or not', async () => {
    assert.deepEqual(
      (await list()).map(({ model_id, loaded, gpu_id }) => [model_id, loaded, gpu_id]),
      [
        ['first', false, -1],
        ['second', false, -1],
        ['broken', false, -1],
      ],
    );
  });

  it('are loaded on the GPU that is preferred, once', async () => {
    const first = await load('second', 1);
    assert.deepEqual([first.success, first.error, first.gpu_id], [true, '', 1]);
    assert.ok(first.load_time_ms > 0);
    const again = await load('second', 1);
    assert.deepEqual([again.success, again.gpu_id, again.load_time_ms], [true, 1, 0]);
    await until('a heartbeat says that the model is loaded', async () => (await list())[1]?.loaded === true);
    const { model_id, gpu_id, memory_mb } = (await list())[1] ?? {};
    assert.deepEqual({ model_id, gpu_id }, { model_id: 'second', gpu_id: 1 });
    assert.ok(Number(memory_mb) > 0);
    const health = await client.unary<HealthResponse>(MONOLITHIC, 'Health', {});
    assert.deepEqual([health.loaded_models, health.max_models, health.gpu_ids], [1, 7, [0, 1]]);
    const [first_gb, second_gb] = health.gpu_memory_used_gb;
    assert.equal(first_gb, 0);
    assert.equal(Math.ceil(Number(second_gb) * 1024), Number(memory_mb));
    const { models } = await client.unary<{ models: ModelStats[] }>(MONOLITHIC, 'GetModelStats', {});
    assert.deepEqual(
      models.map(({ model_id, loaded }) => [model_id, loaded]),
      [
        ['first', false],
        ['second', true],
        ['broken', false],
      ],
    );
  });

  it('are loaded on any GPU when none is preferred', async () => {
    assert.deepEqual((await load('second', -1)).success, true);
  });

  it('are loaded elsewhere when the GPU that is preferred is not there', async () => {
    const { success, gpu_id } = await load('first', 9);
    assert.ok(success && (gpu_id === 0 || gpu_id === 1));
  });

  /** GPU 1 is back after this, of which the front end has not heard yet. @param work while it was drained. */
  const afterDrain = async (work: () => Promise<void> = async () => {}) =>
    await whileDrained(farm, [1], async () => {
      await until('the front end has seen the drain', async () => (await load('first', 1)).gpu_id === 0);
      await work();
    });

  it('are loaded on the GPU that is preferred, also on one that was resumed a moment ago', async () => {
    await afterDrain();
    assert.equal((await load('first', 1)).gpu_id, 1);
  });

  it('are loaded anew on each GPU that has them, also on one that was resumed a moment ago', async () => {
    assert.equal((await load('second', 0)).gpu_id, 0);
    await afterDrain();
    const { success, error } = await inference.load('second', true);
    assert.ok(success, error);
    const second = (await farm.client.models()).models.find(({ id }) => id === 'second');
    assert.deepEqual(
      second?.loaded_on.map(({ gpu }) => gpu),
      [0, 1],
    );
  });

  it('have room for another stream on a GPU that was resumed a moment ago', async () => {
    const streams: StreamCall[] = [];
    const open = () => openStream(client, 'first', streams);
    try {
      await afterDrain(async () => {
        await open();
        assert.equal(farmCode(await failureOf(open())), 'capacity_full');
      });
      await open();
    } finally {
      for (const stream of streams) stream.cancel();
    }
  });

  it('are not loaded when they are unknown or cannot be used', async () => {
    const unknown = await load('nobody', -1);
    assert.deepEqual([unknown.success, unknown.gpu_id], [false, -1]);
    assert.match(unknown.error, /model_unknown: .*"nobody"; configured: first, second, broken/);
    assert.match((await load('broken', -1)).error, /model_unusable: .*background_dir/);
  });

  it('tell of one of them alone when it is named', async () => {
    const statsOf = async (model_id: string) => {
      const { models } = await client.unary<{ models: ModelStats[] }>(MONOLITHIC, 'GetModelStats', { model_id });
      return models.map((model) => model.model_id);
    };
    assert.deepEqual(await statsOf('second'), ['second']);
    assert.deepEqual(await statsOf('nobody'), []);
    assert.equal((await statsOf('')).length, 3);
  });

  it('count their use, and are unloaded on request, once', async () => {
    const answer = await infer(client, 'second', 32);
    assert.ok(answer.success, answer.error);
    const stats = async () => {
      const { models } = await client.unary<{ models: Record<string, unknown>[] }>(MONOLITHIC, 'GetModelStats', {});
      return models.find((model) => model.model_id === 'second') ?? {};
    };
    await until('the use is counted', async () => Number((await stats()).request_count) > 0);
    const { total_inference_ms, last_used_timestamp } = await stats();
    assert.ok(Number(total_inference_ms) > 0);
    assert.ok(Math.abs(Number(last_used_timestamp) - Date.now() / 1000) < 120);
    const unload = (model_id: string) =>
      client.unary<{ success: boolean; error: string }>(MONOLITHIC, 'UnloadModel', { model_id });
    assert.deepEqual(await unload('second'), { success: true, error: '' });
    assert.equal((await stats()).loaded, false);
    assert.match((await unload('second')).error, /request_invalid: .*"second" is not loaded/);
    assert.match((await unload('nobody')).error, /model_unknown/);
  });
});
