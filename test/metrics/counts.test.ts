import assert from 'node:assert/strict';
import { it } from 'node:test';
import { readReports, startReporting } from '../../shared/metrics/report.ts';
import { COUNTS_KEY, readSeries } from '../../shared/metrics/series.ts';
import { count, observe } from '../../shared/metrics/tally.ts';
import { SILENT_LOGGER as log } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { until } from '../support/until.ts';

const server = await startRedisServer();
const redis = await server.connect();

async function framesOf(model: string): Promise<number> {
  const series = readSeries(await redis.hgetall(COUNTS_KEY)).get('farm_frames_total') ?? [];
  return series.find(({ labels }) => labels.model === model)?.value ?? 0;
}

it('what a process has counted stays when it ends, and its successor adds to it', async () => {
  const labels = { model: 'ann', gpu: 0, kind: 'render' };
  for (const expected of [25, 50]) {
    const reporting = startReporting({ redis, name: 'gpu-0', log });
    count('farm_frames_total', labels, 25);
    await until('it has told of itself', async () => (await readReports(redis)).length === 1);
    await reporting.stop();
    assert.equal(await framesOf('ann'), expected);
    assert.deepEqual(await readReports(redis), [], 'one that has ended is shown no more');
  }
  const starts = readSeries(await redis.hgetall(COUNTS_KEY)).get('farm_process_starts_total');
  assert.deepEqual(
    starts?.map(({ labels: { process }, value }) => [process, value]),
    [['gpu-0', 2]],
  );
});

it('what is sent a second time, since its answer was lost, counts once', async () => {
  const connection = await server.connect();
  const send = connection.eval.bind(connection);
  let sent = 0;
  connection.eval = (async (...args: Parameters<typeof send>) => {
    await send(...args);
    if (sent++ === 0) throw new Error('the answer is lost');
  }) as typeof connection.eval;
  count('farm_frames_total', { model: 'bea', gpu: 0, kind: 'live' }, 7);
  const reporting = startReporting({ redis: connection, name: 'gpu-0', log });
  await until('it was sent', () => sent > 0);
  await reporting.stop();
  assert.ok(sent > 1, 'it was sent again');
  assert.equal(await framesOf('bea'), 7);
});

it('a histogram is kept by its buckets', async () => {
  const reporting = startReporting({ redis, name: 'api', log });
  for (const seconds of [0.002, 0.2, 0.2, 99, -3]) observe('farm_live_seconds', {}, seconds);
  await reporting.stop();
  const [series] = readSeries(await redis.hgetall(COUNTS_KEY)).get('farm_live_seconds') ?? [];
  assert.equal(
    series?.buckets.reduce((sum, each) => sum + each, 0),
    5,
  );
  assert.deepEqual([series?.buckets[0], series?.buckets[1], series?.buckets[7], series?.buckets.at(-1)], [1, 1, 2, 1]);
  assert.equal(Math.round((series?.value ?? 0) * 1000), 99_402);
});
