import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { StreamAdmission } from '../../api/live/admission.ts';
import { LiveDispatcher } from '../../api/live/dispatch.ts';
import { StreamSlots } from '../../api/live/slots.ts';
import { VisualInputs } from '../../api/live/visual-inputs.ts';
import { visualPayload } from '../../api/live/visual-payload.ts';
import { RecentWorkers } from '../../api/recent-workers.ts';
import type { Config } from '../../shared/config/load.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { calls, tellsOf } from './told-workers.ts';

/** A front end knows the workers as of a moment ago, and asks them anew before it refuses anything. */

const server = await startRedisServer();
const redis = await server.connect();
const beat = tellsOf(redis);
const configOf = (most: number) =>
  ({
    models: new Map(),
    gpus: { assignment_strategy: 'least-loaded' },
    live: { max_streams_per_gpu: most },
  }) as unknown as Config;

/** A front end that lets so many streams of a model onto each GPU; 0: as many as were measured. */
function frontEnd(most = 1) {
  const workers = new RecentWorkers(redis);
  const dispatcher = new LiveDispatcher(workers, configOf(most));
  const admission = new StreamAdmission(new StreamSlots(redis), dispatcher, { config: configOf(most), log: QUIET_LOG });
  const { signal } = new AbortController();
  const open = async () => (await admission.admit({ modelId: 'ann' }, { name: '', mostStreams: 0 }, signal)).gpuId;
  return { workers, dispatcher, open };
}

describe('a front end that knew the workers a moment ago', () => {
  beforeEach(async () => await redis.flushall());

  it('lets a stream onto a GPU that was resumed meanwhile', async () => {
    await Promise.all([beat(0), beat(1, { draining: true })]);
    const { open } = frontEnd();
    assert.equal(await open(), 0);
    await assert.rejects(open, { code: 'capacity_full' });
    await beat(1);
    assert.equal(await open(), 1);
  });

  it('gives a stream a place on the GPU that is there meanwhile, the first one of the farm', async () => {
    await beat(0, { draining: true });
    const { open } = frontEnd();
    assert.equal(await open(), undefined);
    await beat(0);
    assert.equal(await open(), 0);
  });

  it('lets as many streams in as a model that was measured meanwhile allows', async () => {
    await beat(0, {}, { cost: null });
    const { open, workers } = frontEnd(0);
    await workers.read();
    await beat(0);
    assert.deepEqual([await open(), await open(), await open()], [0, 0, 0]);
    await assert.rejects(open, { code: 'capacity_full', message: /at most 3 of "ann"/ });
  });

  it('takes faces of the size of a network that was loaded meanwhile', async () => {
    const { workers } = frontEnd();
    const loaded = { loadMs: 90, msPerFrame: 8, loadedAtMs: 7, memoryBytes: 1024 };
    const payloadOf = async (size: number) => {
      const inputs = new VisualInputs(4 * 6 * size * size);
      inputs.push(Buffer.alloc(4 * 6 * size * size));
      return await visualPayload(inputs, { modelId: 'ann', frameCount: 1 }, workers);
    };
    await beat(0, {}, { loaded: { ...loaded, networkSize: 16 } });
    await payloadOf(16);
    await assert.rejects(payloadOf(32), { code: 'request_invalid', message: /expected 6144 / });
    await beat(0, {}, { loaded: { ...loaded, networkSize: 32 } });
    await payloadOf(32);
  });

  it('finds the GPU that is there meanwhile, and another than the one that has failed', async () => {
    await Promise.all([beat(0, { draining: true }), beat(1, { draining: true })]);
    const { dispatcher } = frontEnd();
    const pick = async (avoid?: number) => (await dispatcher.pick({ modelId: 'ann', frames: 1, avoid }))?.gpuId;
    assert.equal(await pick(), undefined);
    await beat(1);
    assert.equal(await pick(), 1);
    await beat(0);
    assert.equal(await pick(1), 0);
  });

  it('reads them once for all who ask in the meantime', async () => {
    await beat(0);
    const { open, workers } = frontEnd();
    await open();
    await redis.config('RESETSTAT');
    await Promise.all(Array.from({ length: 300 }, async () => await workers.now()));
    assert.equal(await calls(redis, 'mget'), 1);
    await beat(0, { draining: true });
    const [worker] = await workers.now();
    assert.equal(worker?.draining, true);
  });
});
