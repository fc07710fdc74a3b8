import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { FencedOut } from '../../shared/live/frames.ts';
import { saveLivePayload } from '../../shared/live/live-payload.ts';
import { frameChannelKey, RedisFrameReader, RedisFrameWriter } from '../../shared/live/redis-channel.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { RedisProxy } from '../support/redis-proxy.ts';
import { startRedisServer } from '../support/redis-server.ts';

const NOTHING = Buffer.alloc(0);
const SUMMARY = { gpuId: 3, modelWasLoaded: true, modelLoadMs: 0, audioMs: 1, inferenceMs: 2, compositeMs: 3 };
const run = (requestId: string, attempt = 1) => ({
  ...{ requestId, attempt, pickup: 1, gpuId: 3 },
  frames: { start: 0, end: 3 },
});
const frame = (frameIndex: number) => ({ frameIndex, data: Buffer.from(`frame ${frameIndex}`) });

describe('the frame channel over Redis', async () => {
  const server = await startRedisServer();

  const wanted = async () => {
    const redis = await server.connect();
    const requestId = randomUUID();
    await saveLivePayload(redis, requestId, {
      audio: NOTHING,
      visualFrames: NOTHING,
      visualForm: 'floats',
      audioFeatures: NOTHING,
    });
    return { redis, requestId };
  };

  const readerOf = async (requestId: string) => {
    const connection = await server.connect();
    return new RedisFrameReader(requestId, () => connection);
  };

  it('carries what a worker says, in order', async () => {
    const { redis, requestId } = await wanted();
    const writer = new RedisFrameWriter(redis, run(requestId));
    await writer.taken();
    await writer.frames([{ frameIndex: 0, data: Buffer.from('first') }]);
    await writer.done(SUMMARY, [1, 2].map(frame));
    assert.deepEqual(await (await readerOf(requestId)).next(1000), [
      { type: 'taken', gpuId: 3 },
      { type: 'frame', frameIndex: 0, data: Buffer.from('first') },
      { type: 'frame', ...frame(1) },
      { type: 'frame', ...frame(2) },
      { type: 'done', summary: SUMMARY },
    ]);
  });

  it('refuses a worker that was given up', async () => {
    const { redis, requestId } = await wanted();
    const [old, next] = [1, 2].map((attempt) => new RedisFrameWriter(redis, run(requestId, attempt)));
    await old?.taken();
    await next?.taken();
    await assert.rejects(async () => old?.taken(), FencedOut);
    await assert.rejects(async () => old?.frames([frame(0)]), FencedOut);
    await assert.rejects(async () => old?.frames([0, 1].map(frame)), FencedOut);
  });

  it('knows its own frames when they come again, because their answer was lost with the connection', async () => {
    const { requestId } = await wanted();
    await using proxy = new RedisProxy(server.url);
    const redis = workerConnection(await proxy.open('gpu-0'));
    after(() => redis.disconnect());
    const writer = new RedisFrameWriter(redis, run(requestId));
    const cut = new Set(['eval', 'xadd']);
    proxy.judge = ({ words }) => cut.delete(`${words[0]}`.toLowerCase());
    await writer.taken();
    await writer.frames([frame(0)]);
    await writer.done(SUMMARY, [1, 2].map(frame));
    assert.deepEqual([...cut], [], 'commands that lost no answer');
    const entries = await (await readerOf(requestId)).next(1000);
    assert.deepEqual(
      entries.map((entry) => (entry.type === 'frame' ? entry.frameIndex : entry.type)),
      ['taken', 0, 1, 2, 'done'],
    );
  });

  it('is not opened for a request that was given up, and stays closed', async () => {
    const redis = await server.connect();
    const requestId = randomUUID();
    const writer = new RedisFrameWriter(redis, run(requestId));
    await assert.rejects(writer.taken(), FencedOut);
    await writer.frames([frame(0)]);
    assert.equal(await redis.exists(frameChannelKey(requestId)), 0);
  });
});
