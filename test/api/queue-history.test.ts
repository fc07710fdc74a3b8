import assert from 'node:assert/strict';
import { it } from 'node:test';
import { enrolGpus } from '../../shared/jobs/queues.ts';
import { COUNTS_KEY, counterField } from '../../shared/metrics/series.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import type { QueueHistories } from '../../shared/views/queue-history-view.ts';
import { startApi } from '../support/api.ts';

const { app, services } = await startApi();
const { redis, gpus } = services;

const history = async () => {
  const { times, queues } = (await app.inject({ url: '/v1/queues/history' })).json<QueueHistories>();
  return { times, queues: new Map(queues.map((queue) => [queue.queue, queue])) };
};
/** As if the time of a turn had passed. */
const sample = async () => {
  await redis.del(`${KEY_PREFIX}:queues:sampled`);
  await gpus.history.sample();
};
const frames = async (count: number, kind: string) =>
  await redis.hincrby(COUNTS_KEY, counterField('farm_frames_total', { model: 'demo', gpu: 2, kind }), count);

it('the last minutes of each queue are there for whoever looks, whichever front end has sampled them', async () => {
  assert.deepEqual(await history(), { times: [], queues: new Map() });
  await enrolGpus(redis, [2, 11]);
  await frames(100, 'render');
  await sample();
  await gpus.history.sample();
  const first = await history();
  assert.equal(first.times.length, 1, 'one sample a turn, however many front ends there are');
  assert.deepEqual(
    [...first.queues.keys()],
    ['gpu-2', 'media', 'media-long'],
    'a GPU that has done nothing is left out',
  );
  assert.equal(first.queues.get('gpu-2')?.last_frame_at, null, 'it is not known when frames were made before');
  await services.queues.gpu(11).add('segment', {}, { priority: 7 });
  await services.queues.gpu(11).add('segment', {}, { delay: 60_000 });
  await frames(40, 'render');
  await frames(10, 'live');
  await sample();
  const { times, queues } = await history();
  assert.equal(times.length, 2);
  assert.deepEqual(queues.get('gpu-11')?.jobs, [null, 2]);
  assert.deepEqual(queues.get('media')?.jobs, [0, 0]);
  assert.deepEqual([queues.get('media')?.gpu, queues.get('media')?.frames_per_second], [null, [null, null]]);
  const [before, now = 0] = queues.get('gpu-2')?.frames_per_second ?? [];
  assert.equal(before, null);
  const tookSeconds = (Date.parse(times[1] ?? '') - Date.parse(times[0] ?? '')) / 1000;
  assert.ok(Math.abs((now ?? 0) * tookSeconds - 50) < 1, `${now} frames/s in ${tookSeconds} s`);
  assert.equal(queues.get('gpu-2')?.last_frame_at, times[1]);
  for (let n = 0; n < 125; n++) await sample();
  assert.equal((await history()).times.length, 120);
});
