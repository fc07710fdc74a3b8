import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FramePublisher } from '../../worker/gpu/frame-publisher.ts';
import { LiveRequests } from '../engine/live-requests.ts';
import { startRedisServer } from '../support/redis-server.ts';

const FRAMES = 12;
const SIZE = { width: 1280, height: 720 };
const SUMMARY = { gpuId: 0, modelWasLoaded: true, modelLoadMs: 0, audioMs: 0, inferenceMs: 0, compositeMs: 0 };

describe('the publisher of live frames', async () => {
  const server = await startRedisServer();

  it('counts time in which several frames are encoded at once only once', async () => {
    await using live = new LiveRequests(server.url);
    const job = live.job({ frames: { start: 0, end: FRAMES } });
    await live.save(job);
    const publisher = new FramePublisher(live.redis, job, () => {});
    publisher.taken(0);
    const startedAt = performance.now();
    for (let frameIndex = 0; frameIndex < FRAMES; frameIndex++) {
      publisher.frame({ frameIndex, image: { ...SIZE, data: new Uint8Array(SIZE.width * SIZE.height * 3) } });
    }
    const encodeMs = await publisher.encoded();
    const passedMs = performance.now() - startedAt;
    await publisher.done(SUMMARY);
    await publisher.close();
    // And the summary.
    assert.equal(await live.framesWritten(job), FRAMES + 1);
    assert.ok(encodeMs > 0 && encodeMs <= passedMs, `${encodeMs} ms of encoding in ${passedMs} ms`);
  });
});
