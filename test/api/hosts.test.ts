import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { enrolGpus, enrolledGpus, leaseKey } from '../../shared/jobs/queues.ts';
import { hostListSchema, hostViewSchema } from '../../shared/views/host-view.ts';
import { GpuNumbers } from '../../shared/workers/gpu-numbers.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { HostDrains } from '../../shared/workers/host-drains.ts';
import { startApi } from '../support/api.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';

const { app, services } = await startApi();
const { redis } = services;
const numbers = new GpuNumbers(redis);
const drains = new HostDrains(redis);

interface Told {
  readonly host: string;
  readonly gpuId: number | null;
  readonly version?: string;
  readonly hash?: string;
  readonly offset?: number;
  readonly machine?: string;
}

/** A worker that follows orders about its host as soon as it beats again. */
async function startWorker({ host, gpuId, version = '0.1.0', hash, offset = 3, machine = 'm1' }: Told) {
  const state = { draining: false, runningJobs: gpuId === null ? 0 : 1 };
  const usage = { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  const loaded = { loadMs: 1, msPerFrame: 1, loadedAtMs: 1, memoryBytes: 1, filesHash: hash };
  const model = { modelId: 'demo', loaded: hash ? loaded : null, problems: [], cost: null, blocked: null, usage };
  const describeIt = (): Omit<Heartbeat, 'workerId'> => ({
    ...{ gpuId, host: 'system-name', pid: 1, startedAtMs: 0, provider: null, device: 'a device' },
    onHost: { name: host, machine, version, tags: [`of-${host}`], clockOffsetMs: offset },
    ...{ models: gpuId === null ? [] : [model], eventLoopBlockedMaxMs: 0, ...state },
  });
  const heartbeat = startHeartbeat(redis, `${host}-${gpuId}`, describeIt, QUIET_LOG);
  await heartbeat.first;
  return { state, heartbeat };
}

const list = async () => hostListSchema.parse((await app.inject('/v1/hosts')).json());
const order = (name: string, what: string) => app.inject({ method: 'POST', url: `/v1/hosts/${name}/${what}` });
const codeOf = (answer: { json(): { error?: { code: string } } }) => answer.json().error?.code;

describe('the hosts of a farm', () => {
  it('are listed with what their workers say, and what differs between them', async (t) => {
    const workers = [
      await startWorker({ host: 'one', gpuId: 0, hash: 'aaaaaaaaaaaaaaaa' }),
      await startWorker({ host: 'one', gpuId: null }),
      await startWorker({ host: 'two', gpuId: 7, hash: 'bbbbbbbbbbbbbbbb', version: '0.2.0', offset: -2500 }),
      await startWorker({ host: 'two', gpuId: 8, machine: 'm2' }),
    ];
    t.after(() => Promise.all(workers.map(({ heartbeat }) => heartbeat.stop())));
    await numbers.giveByHand(9, 'two');
    await redis.set(leaseKey('gpu-0'), 'the worker of one');
    await numbers.claim('token', [{ host: 'three', device: 'GPU-1' }]);
    const { hosts, versions } = await list();
    assert.deepEqual(versions, ['0.1.0', '0.2.0']);
    assert.deepEqual(
      hosts.map(({ name, state, media_workers, running_jobs, tags }) => [
        name,
        state,
        media_workers,
        running_jobs,
        tags,
      ]),
      [
        ['one', 'ready', 1, 1, ['of-one']],
        ['three', 'gone', 0, 0, []],
        ['two', 'ready', 0, 2, ['of-two']],
      ],
    );
    const [one, three, two] = hosts;
    assert.deepEqual(
      two?.gpus.map(({ gpu, state, device }) => [gpu, state, device]),
      [
        [7, 'ready', 'a device'],
        [8, 'ready', 'a device'],
        [9, 'gone', null],
      ],
    );
    assert.deepEqual(
      three?.gpus.map(({ gpu, state }) => [gpu, state]),
      [[1, 'gone']],
    );
    assert.deepEqual(one?.problems, ['"demo" comes from files aaaaaaaaaaaa here; two has bbbbbbbbbbbb']);
    assert.deepEqual(two?.problems, [
      'its clock is 2500 ms behind that of Redis',
      '2 machines have the name two: set host.name',
      '"demo" comes from files bbbbbbbbbbbb here; one has aaaaaaaaaaaa',
    ]);
    assert.ok((one?.last_heartbeat_ms ?? -1) >= 0 && (one?.last_heartbeat_ms ?? 9999) <= 3000);
  });

  it('are taken out of service and put back; an order for one that is not there is refused', async (t) => {
    const { state, heartbeat } = await startWorker({ host: 'four', gpuId: 4 });
    t.after(() => heartbeat.stop());
    const drained = order('four', 'drain');
    while (!(await drains.has('four'))) await new Promise((resolve) => setImmediate(resolve));
    state.draining = true;
    heartbeat.now();
    assert.equal(hostViewSchema.parse((await drained).json()).state, 'draining', 'its segment still runs');
    const gpus = (await app.inject('/v1/gpus')).json() as { gpus: { gpu: number; state: string }[] };
    assert.equal(gpus.gpus.find(({ gpu }) => gpu === 4)?.state, 'draining');
    state.runningJobs = 0;
    state.draining = false;
    heartbeat.now();
    assert.equal(hostViewSchema.parse((await order('four', 'undrain')).json()).state, 'ready');
    assert.deepEqual([...(await drains.all())], []);
    const refused = await order('nowhere', 'drain');
    assert.deepEqual([refused.statusCode, codeOf(refused)], [404, 'farm_host_unknown']);
  });

  it('are forgotten once they are gone, and their numbers free; never while they live', async () => {
    const { heartbeat } = await startWorker({ host: 'five', gpuId: 5 });
    await numbers.giveByHand(5, 'five');
    await enrolGpus(redis, [5]);
    const forget = () => app.inject({ method: 'DELETE', url: '/v1/hosts/five' });
    const refused = await forget();
    assert.deepEqual([refused.statusCode, codeOf(refused)], [409, 'farm_host_in_use']);
    await heartbeat.stop();
    assert.equal((await forget()).statusCode, 204);
    assert.equal((await numbers.all()).has(5), false);
    assert.equal((await enrolledGpus(redis)).includes(5), false);
    assert.equal(
      (await list()).hosts.some(({ name }) => name === 'five'),
      false,
    );
  });
});
