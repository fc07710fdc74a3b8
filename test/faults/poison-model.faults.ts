import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { DisturbedRenders } from './disturbed-render.ts';

/** Every process that begins to render a certain model dies of it. */

it('a model that ends every worker fails its own render, and others get all their frames', async (t) => {
  await using renders = await DisturbedRenders.start(20, { models: { small: SMALL_MODEL, poison: SMALL_MODEL } });
  const { farm } = renders;
  const redis = workerConnection(farm.farm.redisUrl);
  const queues = new QueueClients(redis);
  const over = new AbortController();
  /** Job and attempt. */
  const killedBy = new Set<string>();
  /** What the native code of a bad model would do to its process. */
  const killing = (async () => {
    while (!over.signal.aborted) {
      for (const gpuId of [0, 1]) {
        for (const { id, name, data, attemptsStarted } of await queues.gpu(gpuId).getActive()) {
          const attempt = `${id} ${attemptsStarted}`;
          const pid = farm.farm.pids.get(`gpu-${gpuId}`);
          if (!pid || name !== 'segment' || data.modelId !== 'poison' || killedBy.has(attempt)) continue;
          // The handler has begun, as it must before a model can end its process.
          const fields = await redis.hkeys(queues.gpu(gpuId).toKey(id ?? ''));
          if (!fields.includes(`run:${attemptsStarted}`)) continue;
          process.kill(pid, 'SIGKILL');
          killedBy.add(attempt);
        }
      }
      await delay(5);
    }
  })();
  let poisoned = '';
  try {
    const startedAtMs = performance.now();
    poisoned = await renders.submit('poison');
    await renders.compareFrames(await renders.submit('small'));
    const error = await farm.client.finished(poisoned).then(
      () => undefined,
      (failure: { code: string }) => failure,
    );
    assert.equal(error?.code, 'worker_lost');
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    t.diagnostic(
      `figure: a model that ends its workers: its render failed after ${seconds} s and ${killedBy.size} deaths`,
    );
  } finally {
    over.abort();
    await killing;
    await queues.close();
    redis.disconnect();
  }
  // Its files are those of the other model, so it has the same frames.
  await farm.client.retry(poisoned);
  await renders.compareFrames(poisoned);
  // Nothing is left that would end the workers again.
  await renders.compareFrames(await renders.submit('small'));
});
