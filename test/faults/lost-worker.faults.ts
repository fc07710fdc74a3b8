import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Job } from 'bullmq';
import type { Redis } from 'ioredis';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { gpuOnce, renderOn, startSecondWorker } from '../farm/second-worker.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const SECONDS = 2.4;
const SEGMENT_FRAMES = 10;

describe('when a GPU worker is killed and never comes back', () => {
  let farm: TestFarm;
  let lost: ChildProcess;
  let redis: Redis;
  let queues: QueueClients;
  let speech = '';
  /** The video of which GPU 7 began the segments and GPU 0 made the rest; GPU 0 alone makes the same. */
  let expected: string | undefined;

  before(async () => {
    farm = await startFarm({
      // What is placed on GPU 7 alone keeps it busy and its queue long.
      models: { demo: DEMO_MODEL, elsewhere: { ...DEMO_MODEL, preferred_gpu: 7 } },
      gpus: { allow_multi_gpu_models: false },
      render: { segment_frames: SEGMENT_FRAMES },
    });
    redis = workerConnection(farm.farm.redisUrl);
    queues = new QueueClients(redis);
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(SECONDS));
    lost = await startSecondWorker(farm, 7);
  });
  after(async () => {
    await endProcess(lost, 'SIGKILL');
    await queues.close();
    redis.disconnect();
    await farm[Symbol.asyncDispose]();
  });

  it('its running and its waiting segments are finished by another', async (t) => {
    let begun: Job | undefined;
    const kill = async () => {
      const { backlog } = await gpuOnce(farm, 7, 'at work', ({ backlog }) => backlog.active > 0);
      assert.ok(backlog.waiting > 0);
      await endProcess(lost, 'SIGKILL');
      const killedAtMs = Date.now();
      [begun] = await queues.gpu(7).getActive();
      await gpuOnce(farm, 7, 'gone', ({ state, backlog }) => state === 'gone' && backlog.jobs > 0);
      const again = async () => await queues.gpu(7).getJob(begun?.id ?? '');
      await until('what it had begun is taken up', async () => ((await again())?.attemptsStarted ?? 0) > 1);
      t.diagnostic(`what it had begun was taken up after ${Date.now() - killedAtMs} ms`);
      assert.equal((await again())?.stalledCounter, 1);
    };
    const { sha256, gpus } = await renderOn(farm, speech, 'elsewhere', kill, SEGMENT_FRAMES + 1);
    expected = sha256;
    assert.ok(expected);
    assert.deepEqual(new Set(gpus), new Set([7, 0]));
    assert.ok(farm.log.some((line) => /queue has no worker|taking work of another GPU/.test(line)));
    assert.deepEqual(
      (await farm.client.gpus()).gpus.map(({ gpu }) => gpu),
      [0],
    );
  });

  it('a media worker that is killed in mid-stitch is started again and stitches once more: the same bytes of GPU 0 alone', async (t) => {
    const { id } = await farm.client.submit(speech, { modelId: 'demo' });
    const stitch = async () => await queues.media('media').getJob(`stitch-${id}`);
    await until('the stitch has begun', async () => (await (await stitch())?.getState()) === 'active');
    farm.kill('media');
    const killedAtMs = Date.now();
    await until('it is taken up again', async () => ((await stitch())?.attemptsStarted ?? 0) > 1);
    t.diagnostic(`taken up again after ${Date.now() - killedAtMs} ms`);
    assert.equal((await farm.client.finished(id)).status, 'completed');
    assert.equal((await farm.client.receipt(id)).video?.sha256, expected);
    // The render is completed a moment before its job is.
    await until('the job has ended', async () => (await (await stitch())?.getState()) === 'completed');
    const { attemptsStarted, stalledCounter, attemptsMade } = (await stitch()) as Job;
    assert.deepEqual(
      { attemptsStarted, stalledCounter, attemptsMade },
      { attemptsStarted: 2, stalledCounter: 1, attemptsMade: 1 },
    );
  });
});
