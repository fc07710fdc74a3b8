import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Redis } from 'ioredis';
import { workerConnection } from '../../shared/redis/connections.ts';
import { MONOLITHIC, TestClient } from '../grpc/clients.ts';
import type { TestFarm } from '../support/farm.ts';
import { decodeFrames } from '../support/ffprobe.ts';
import { isFrame, watched } from '../support/mjpeg.ts';
import { RESULT_FILES } from '../support/result-files.ts';
import { SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { visualFrames } from '../support/visual-frames.ts';

const FRAMES = 24;
/** What a request or a render may bring to Redis, whatever it weighs; heartbeats and looks of the farm included. */
const SMALL_BYTES = 100_000;
/** Long enough, in one segment, that a preview can be asked for while it runs: there is one twice a second. */
const LONG_SECONDS = 16;

/** On the farm of `live-work.test.ts`, which is one as `farm up` starts it: what travels through its Redis, and so goes into its append-only file. */
export function describeSmallRedis(farm: TestFarm): void {
  describe('Redis, in the default set-up', () => {
    let redis: Redis;
    let grpc: TestClient;
    before(async () => {
      redis = workerConnection(farm.farm.redisUrl);
      grpc = new TestClient(farm.grpcAddress);
    });
    after(async () => {
      redis.disconnect();
      grpc.close();
    });

    const gauge = async (section: string, name: string) =>
      Number(new RegExp(`${name}:(\\d+)`).exec(await redis.info(section))?.[1]);
    /** Bytes that come to Redis, leave it, and go into its file, while `work` runs. */
    const traffic = async (work: () => Promise<unknown>) => {
      const look = async () => [
        await gauge('stats', 'total_net_input_bytes'),
        await gauge('stats', 'total_net_output_bytes'),
        await gauge('persistence', 'aof_current_size'),
      ];
      const before = await look();
      await work();
      return (await look()).map((bytes, place) => bytes - (before[place] ?? 0));
    };

    it('gets a small job of a request that brings megabytes and takes megabytes', async () => {
      const { floats } = visualFrames(FRAMES);
      const raw_audio = Buffer.alloc(FRAMES * 640 * 4);
      const message = { model_id: 'small', visual_frames: floats, raw_audio, batch_size: FRAMES, sample_rate: 16_000 };
      const ask = async () => {
        const answer = await grpc.unary<{ success: boolean; composited_frames: Buffer[] }>(
          MONOLITHIC,
          'InferBatchComposite',
          message,
        );
        assert.equal(answer.composited_frames.length, FRAMES);
      };
      await ask();
      assert.ok(floats.length > 10 * 2 ** 20);
      // The longer a request takes, the more heartbeats and looks of the farm come in between: a quick one shows its own.
      let bytes: number[] = [];
      await until('one brings little', async () => {
        bytes = await traffic(ask);
        return bytes.every((count) => count < SMALL_BYTES);
      }).finally(() => assert.ok(Math.max(...bytes) < SMALL_BYTES, `${bytes} bytes`));
    });

    it('gets no picture of a render: its preview, of frames of its video, is a file while it runs, and gone after it', async () => {
      const speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(LONG_SECONDS));
      const { id } = await farm.client.submit(speech, { modelId: 'small' });
      const folder = path.join(farm.folder, 'data/renders', id);
      const watching = watched(`${farm.url}/v1/renders/${id}/preview?as=mjpeg`);
      await until(
        'there is a preview',
        async () => (await fetch(`${farm.url}/v1/renders/${id}/preview`)).status === 200,
      );
      assert.deepEqual(await redis.keys('*:preview'), []);
      await farm.client.finished(id);
      const left = async () => (await readdir(folder)).sort();
      await until('its parts are gone', async () => isDeepStrictEqual(await left(), RESULT_FILES));
      const frames = await decodeFrames(path.join(folder, 'video.mp4'), SMALL_PICTURE.width, SMALL_PICTURE.height);
      const shown = await watching;
      assert.ok(shown.length > 0);
      for (const { frameIndex, jpeg } of shown)
        assert.ok(await isFrame(jpeg, frames, frameIndex), `frame ${frameIndex}`);
    });
  });
}
