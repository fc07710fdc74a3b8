import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { StreamAdmission } from '../../api/live/admission.ts';
import { LiveDispatcher } from '../../api/live/dispatch.ts';
import { StreamSlots } from '../../api/live/slots.ts';
import { RecentWorkers } from '../../api/recent-workers.ts';
import type { Config } from '../../shared/config/load.ts';
import { LIVE_CHANNEL } from '../../shared/jobs/queues.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { calls, tellsOf } from './told-workers.ts';

/** What a request asks of Redis must not grow with the number of GPUs: counted there. */

const GPUS = 200;
const server = await startRedisServer();
const redis = await server.connect();
const beat = tellsOf(redis);
const config = {
  models: new Map(),
  gpus: { assignment_strategy: 'least-loaded' },
  live: { max_streams_per_gpu: 2 },
} as unknown as Config;
const dispatcher = () => new LiveDispatcher(new RecentWorkers(redis), config);

describe('live work on a farm of many GPUs', () => {
  beforeEach(async () => {
    await redis.flushall();
    for (let gpuId = 0; gpuId < GPUS; gpuId++) await beat(gpuId);
  });

  it('is placed by one look at the workers for all requests of a moment, on all of them in turn', async () => {
    const placing = dispatcher();
    await redis.config('RESETSTAT');
    const places = await Promise.all(
      Array.from({ length: 400 }, async () => {
        const place = await placing.pick({ modelId: 'ann', frames: 24 });
        if (place) placing.occupy(place.gpuId, 24);
        return place?.gpuId;
      }),
    );
    assert.equal(new Set(places).size, GPUS);
    assert.equal(await calls(redis, 'mget'), 1);
  });

  it('streams are let in as long as any GPU has room, and renewed without a look at the others', async () => {
    const admission = new StreamAdmission(new StreamSlots(redis), dispatcher(), { config, log: QUIET_LOG });
    const owner = { name: '', mostStreams: 0 };
    const { signal } = new AbortController();
    const open = async () => (await admission.admit({ modelId: 'ann' }, owner, signal)).gpuId;
    const taken = await Promise.all(Array.from({ length: 2 * GPUS }, open));
    const each = new Map<number | undefined, number>();
    for (const gpuId of taken) each.set(gpuId, (each.get(gpuId) ?? 0) + 1);
    assert.deepEqual([each.size, new Set(each.values())], [GPUS, new Set([2])]);
    await assert.rejects(open, { code: 'capacity_full' });
    const slots = new StreamSlots(redis);
    await redis.config('RESETSTAT');
    await slots.renew(':one', { gpuId: 0, share: 0.5 });
    assert.equal(await calls(redis, 'hgetall'), 0);
  });

  it('wakes the worker of the queue alone, and all of them where it is of a version that hears no other', async () => {
    await beat(3, {});
    const placing = dispatcher();
    assert.equal(await placing.wakeUpChannel(2), `${LIVE_CHANNEL}:gpu-2`);
    assert.equal(await placing.wakeUpChannel(3), LIVE_CHANNEL);
  });
});
