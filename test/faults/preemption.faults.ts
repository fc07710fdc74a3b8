import assert from 'node:assert/strict';
import { once } from 'node:events';
import path from 'node:path';
import { it } from 'node:test';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { MixedFarm } from './mixed-farm.ts';

/** Hosts that are taken away with half a minute's notice: SIGTERM in mid-render. */

/** One segment, of more frames than are made within the drain. */
const SECONDS = 160;
const FRAMES = 25 * SECONDS;
const SETTINGS = {
  render: { segment_frames: FRAMES },
  limits: { drain_seconds: 2 },
  gpus: { allow_multi_gpu_models: false },
  // Kept segments would leave nothing to do.
  storage: { root: 'data', segment_cache_gb: 0 },
};

it('a segment that its worker cannot finish in time is with another one at once, at no attempt’s cost', async (t) => {
  await using farm = await MixedFarm.startWith(SETTINGS, { args: ['api'] }, { args: ['worker', '--media'] });
  const first = await farm.launch({ args: ['worker', '--gpu', '0'] });
  const redis = workerConnection(farm.redisUrl);
  const queues = new QueueClients(redis);
  const speech = path.join(farm.folder, 'long.wav');
  await writeWav(speech, syllables(SECONDS));
  const submit = async () => (await farm.client.submit(speech, { output: 'frames' })).id;
  try {
    const peaceful = await submit();
    await farm.client.finished(peaceful);
    const id = await submit();
    for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
    // It takes nothing: the only segment runs.
    await farm.launch({ args: ['worker', '--gpu', '1'] });
    const ended = once(first, 'exit');
    const askedAtMs = performance.now();
    first.kill('SIGTERM');
    const segment = async () => await queues.gpu(0).getJob(`segment-${id}-0`);
    await until('another one is at it', async () => ((await segment())?.attemptsStarted ?? 0) > 1);
    const takenAfter = performance.now() - askedAtMs;
    assert.equal((await segment())?.attemptsMade, 0);
    assert.equal((await segment())?.stalledCounter, 0, 'it was handed back, and not lost');
    assert.deepEqual(await ended, [0, null]);
    assert.equal((await farm.client.finished(id)).status, 'completed');
    const { segments } = await farm.client.receipt(id);
    assert.deepEqual(
      segments.map(({ gpu, attempt }) => [gpu, attempt]),
      [[1, 2]],
    );
    for (const index of [0, FRAMES >> 1, FRAMES - 1]) {
      assert.deepEqual(await farm.client.frame(id, index), await farm.client.frame(peaceful, index));
    }
    t.diagnostic(
      `figure: SIGTERM in a segment of ${FRAMES} frames: with another GPU after ${(takenAfter / 1000).toFixed(1)} s`,
    );
  } finally {
    await queues.close();
    redis.disconnect();
  }
});

it('a media worker hands its jobs to another one in the same way', async () => {
  await using farm = await MixedFarm.startWith(SETTINGS, { args: ['api'] });
  const first = await farm.launch({ args: ['worker', '--media'] });
  await farm.launch({ args: ['worker', '--media'] });
  await farm.launch({ args: ['worker', '--gpu', '0'] });
  const speech = path.join(farm.folder, 'speech.wav');
  const ids: string[] = [];
  for (let render = 0; render < 6; render++) ids.push((await farm.client.submit(speech)).id);
  const ended = once(first, 'exit');
  first.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  const hashes = new Set<string | undefined>();
  for (const id of ids) {
    await farm.client.finished(id);
    hashes.add((await farm.client.receipt(id)).video?.sha256);
  }
  assert.equal(hashes.size, 1);
});
