import assert from 'node:assert/strict';
import { after, before, describe, it, test } from 'node:test';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { until } from '../support/until.ts';
import { failureOf, farmCode, type Message, TestClient } from './clients.ts';

const STREAMS = 2;

describe('live streams', () => {
  let farm: TestFarm;
  let client: TestClient;

  before(async () => {
    farm = await startFarm({ live: { max_streams_per_gpu: STREAMS } });
    client = new TestClient(farm.grpcAddress);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
  });

  const open = () => openStream(client);
  const capacity = async () => (await farm.client.gpus()).capacity;

  it('are let in up to the capacity of the farm; one more is told how much is free', async () => {
    assert.deepEqual(await capacity(), { streams: STREAMS, used: 0, free: STREAMS });
    const streams = [await open(), await open()];
    assert.deepEqual(await capacity(), { streams: STREAMS, used: STREAMS, free: 0 });
    const error = await failureOf(open());
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'capacity_full']);
    assert.match(error.details, /Free capacity of the farm: 0 streams; GPU 0 holds 2, at most 2 of "demo"/);
    for (const stream of streams) stream.end();
    await until('both have ended', async () => (await capacity()).used === 0);
  });

  it('make room when they end, and when they are cancelled', async () => {
    const [first, second] = [await open(), await open()];
    first.end();
    await until('the first has ended', async () => (await capacity()).free === 1);
    const third = await open();
    second.cancel();
    await until('the second is gone', async () => (await capacity()).free === 1);
    const fourth = await open();
    await failureOf(open());
    for (const stream of [third, fourth]) stream.cancel();
    await until('all are gone', async () => (await capacity()).used === 0);
  });

  it('are given back by a front end that dies', async () => {
    await open();
    assert.equal((await capacity()).used, 1);
    process.kill(farm.farm.pids.get('api') as number, 'SIGKILL');
    await until('the farm answers and the stream is forgotten', async () =>
      capacity().then(
        ({ used }) => used === 0,
        () => false,
      ),
    );
  });
});

test('without a fixed number a GPU takes the streams that it was measured to hold, and not one more', async (t) => {
  await using farm = await startFarm({
    models: { demo: { ...DEMO_MODEL, preload_model: true } },
    live: { max_streams_per_gpu: 0 },
  });
  const client = new TestClient(farm.grpcAddress);
  t.after(() => client.close());
  const [gpu] = (await farm.client.gpus()).gpus;
  const frameMs = gpu?.models[0]?.frame_ms;
  assert.ok(frameMs);
  const streams = Math.max(1, Math.floor(36 / frameMs));
  assert.deepEqual(gpu.capacity, { streams, used: 0, free: streams });
  const opened = await Promise.all(Array.from({ length: streams }, () => openStream(client)));
  assert.equal(farmCode(await failureOf(openStream(client))), 'capacity_full');
  for (const stream of opened) stream.cancel();
});

/** A stream that has been let in. */
async function openStream(client: TestClient): Promise<ClientDuplexStream<StreamRequest, Message>> {
  const stream = client.stream();
  // Who cancels hears of it; these tests do not ask.
  stream.on('error', () => {});
  stream.write({ open: { model_id: 'demo' } as Open });
  const opened = Promise.withResolvers<void>();
  stream.once('data', () => opened.resolve());
  stream.once('error', opened.reject);
  await opened.promise;
  return stream;
}
