import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Frame, Open } from '../../api/grpc/messages/farm.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { type Message, TestClient } from '../grpc/clients.ts';
import { f32, speech } from '../grpc/speech.ts';
import type { TestFarm } from '../support/farm.ts';
import { until } from '../support/until.ts';
import { gpuOnce } from './second-worker.ts';

const SECONDS = 2.4;

/**
 * @param farm has a model `elsewhere` that prefers GPU 7.
 * @param other the worker of GPU 7, which is killed in the end.
 */
export function describeMovingStreams(farm: TestFarm, other: () => ChildProcess): void {
  describe('a live stream at home on a GPU', () => {
    let client: TestClient;

    before(() => {
      client = new TestClient(farm.grpcAddress);
    });
    beforeEach(async () => await until('streams go to it', async () => (await home()) === 7));
    after(() => client.close());

    /** The first GPU of a stream. The front end may know of a new worker, or that a drain has ended, a moment later. */
    const home = async (): Promise<number | undefined> => {
      const call = client.stream();
      call.write({ open: { model_id: 'elsewhere' } as Open });
      call.write({ audio: f32(speech(0.2)) });
      call.end();
      const gpus: number[] = [];
      for await (const { frame } of call as AsyncIterable<Message>) if (frame) gpus.push((frame as Frame).gpu_id);
      return gpus[0];
    };

    /** Streams, and calls `meanwhile` at the fifth frame, half way through. Returns which GPU made each frame. */
    const stream = async (meanwhile: () => Promise<unknown>): Promise<number[]> => {
      const call = client.stream();
      call.write({ open: { model_id: 'elsewhere' } as Open });
      const sound = f32(speech(SECONDS));
      const half = sound.length / 2;
      call.write({ audio: sound.subarray(0, half) });
      const frames: Frame[] = [];
      for await (const message of call as AsyncIterable<Message>) {
        if (!message.frame || frames.push(message.frame as Frame) !== 5) continue;
        await meanwhile();
        call.write({ audio: sound.subarray(half) });
        call.end();
      }
      assert.deepEqual(
        frames.map(({ frame_index }) => frame_index),
        Array.from({ length: SECONDS * 25 }, (_, index) => index),
      );
      return frames.map(({ gpu_id }) => gpu_id);
    };

    it('goes on with another when that is drained, each frame once', async () => {
      try {
        const gpus = await stream(async () => {
          await farm.client.drainGpu(7);
          await gpuOnce(farm, 7, 'out of service', ({ state }) => state !== 'ready');
          await until('streams go elsewhere', async () => (await home()) === 0);
        });
        assert.deepEqual([gpus[0], gpus.at(-1)], [7, 0]);
      } finally {
        await farm.client.resumeGpu(7);
      }
    });

    it('goes on with another when its worker is killed and never comes back, each frame once', async () => {
      // Its queue may be served by another under its number, so the number of the last frame says nothing.
      const gpus = await stream(() => endProcess(other(), 'SIGKILL'));
      assert.equal(gpus[0], 7);
    });
  });
}
