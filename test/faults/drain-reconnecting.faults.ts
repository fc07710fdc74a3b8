import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Redis } from 'ioredis';
import { startFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';

/** Workers are told to stop right after Redis has cut every connection, so that all of them wait to be made again. */

const DRAIN_SECONDS = 20;

it('workers that have nothing to do drain while their connections to Redis are made again', async (t) => {
  await using farm = await startFarm({ models: { small: SMALL_MODEL }, limits: { drain_seconds: DRAIN_SECONDS } });
  const redis = new Redis(farm.farm.redisUrl);
  const workers = await redis.smembers('{farm}:workers');
  const beats = await redis.mget(workers.map((worker) => `{farm}:heartbeat:${worker}`));
  const pids = beats.map((beat) => (JSON.parse(beat ?? '') as { pid: number }).pid);
  await redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  redis.disconnect();
  const startedAtMs = performance.now();
  for (const pid of pids) process.kill(pid, 'SIGTERM');
  await until('every worker has drained', () => drained(farm.log) === pids.length);
  t.diagnostic(`figure: drained after ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
  assert.ok(!farm.log.some((line) => line.includes('SIGKILL')), farm.log.join('\n'));
});

function drained(log: readonly string[]): number {
  return log.filter((line) => line.includes('"msg":"drained"')).length;
}
