import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { until } from '../support/until.ts';
import { failureOf, farmCode, openStream, type StreamCall, TestClient } from './clients.ts';

const ROUNDED_BY_MS = 0.05;

describe('live streams', () => {
  let farm: TestFarm;
  let client: TestClient;

  /** What the farm says that it holds. */
  let most = 0;
  /** Streams of the test that runs. */
  const opened: StreamCall[] = [];

  before(async () => {
    farm = await startFarm({
      models: { demo: { ...DEMO_MODEL, preload_model: true } },
      live: { max_streams_per_gpu: 0 },
    });
    client = new TestClient(farm.grpcAddress);
    await until('it was measured', async () => (await frameMs()) !== null);
    most = (await capacity()).streams;
  });
  afterEach(async () => {
    for (const stream of opened.splice(0)) stream.cancel();
    await until('no stream is left', async () => (await capacity()).used === 0);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
  });

  const open = () => openStream(client, 'demo', opened);
  const openMost = () => Promise.all(Array.from({ length: most }, open));
  const capacity = async () => (await farm.client.gpus()).capacity;
  const frameMs = async () => (await farm.client.gpus()).gpus[0]?.models[0]?.frame_ms ?? null;

  it('are let in up to what the GPU was measured to hold; one more is told how much is free', async () => {
    const [gpu] = (await farm.client.gpus()).gpus;
    const measuredMs = gpu?.models[0]?.frame_ms;
    assert.ok(measuredMs);
    // The farm says a rounded number, and reckons with the exact one.
    const [low, high] = [measuredMs + ROUNDED_BY_MS, measuredMs - ROUNDED_BY_MS].map((ms) => Math.floor(36 / ms));
    assert.ok(most >= Math.max(1, low ?? 0) && most <= Math.max(1, high ?? 0), `${most} of ${measuredMs} ms`);
    assert.deepEqual(gpu.capacity, { streams: most, used: 0, free: most });
    const streams = await openMost();
    assert.deepEqual(await capacity(), { streams: most, used: most, free: 0 });
    const error = await failureOf(open());
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'capacity_full']);
    assert.ok(
      error.details.includes(`Free capacity of the farm: 0 streams; GPU 0 holds ${most}, at most ${most} of "demo"`),
      error.details,
    );
    for (const stream of streams) stream.end();
    await until('all have ended', async () => (await capacity()).used === 0);
  });

  it('make room when they end, and when they are cancelled', async () => {
    const [first, ...others] = await openMost();
    first?.end();
    await until('the first has ended', async () => (await capacity()).free === 1);
    const second = await open();
    second.cancel();
    await until('the second is gone', async () => (await capacity()).free === 1);
    const third = await open();
    await failureOf(open());
    for (const stream of [third, ...others]) stream.cancel();
    await until('all are gone', async () => (await capacity()).used === 0);
  });

  it('are given back by a front end that dies', async () => {
    await open();
    assert.equal((await capacity()).used, 1);
    farm.kill('api');
    await until('the farm answers and the stream is forgotten', async () =>
      capacity().then(
        ({ used }) => used === 0,
        () => false,
      ),
    );
  });
});
