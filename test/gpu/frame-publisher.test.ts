import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RedisFrameWriter } from '../../shared/live/redis-channel.ts';
import { FramePublisher } from '../../worker/gpu/frame-publisher.ts';
import { LiveRequests } from '../engine/live-requests.ts';
import { startRedisServer } from '../support/redis-server.ts';

const FRAMES = 12;
const FRAME_BYTES = 50_000;
const SUMMARY = { gpuId: 0, modelWasLoaded: true, modelLoadMs: 0, audioMs: 0, inferenceMs: 0, compositeMs: 0 };

describe('the publisher of live frames', async () => {
  const server = await startRedisServer();

  it('writes every frame and the summary, in order, and gives their memory back', async () => {
    await using live = new LiveRequests(server.url);
    const job = live.job({ frames: { start: 0, end: FRAMES } });
    await live.save(job);
    const writer = new RedisFrameWriter(live.redis, { ...job, pickup: 1, gpuId: 0 });
    await writer.open();
    const publisher = new FramePublisher(writer, () => {});
    const givenBack: number[] = [];
    const frames = Array.from({ length: FRAMES }, (_, frameIndex) => ({
      frameIndex,
      data: new Uint8Array(FRAME_BYTES).fill(frameIndex),
      giveBack: () => givenBack.push(frameIndex),
    }));
    publisher.frames(frames.slice(0, 1));
    publisher.frames(frames.slice(1));
    await publisher.done(SUMMARY);
    await publisher.close();
    assert.deepEqual(
      givenBack.toSorted((a, b) => a - b),
      Array.from({ length: FRAMES }, (_, index) => index),
    );
    const seen: (number | string)[] = [];
    for await (const entry of live.entries(job.requestId)) {
      if (entry.type === 'frame') assert.equal(entry.data[0], entry.frameIndex);
      seen.push(entry.type === 'frame' ? entry.frameIndex : entry.type);
      if (entry.type === 'done') break;
    }
    assert.deepEqual(seen, ['taken', ...Array.from({ length: FRAMES }, (_, index) => index), 'done']);
  });
});
