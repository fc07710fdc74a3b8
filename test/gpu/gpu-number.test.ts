import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../shared/config/load.ts';
import { enrolGpus, leaseKey } from '../../shared/jobs/queues.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { ownIdentity } from '../../shared/process/process-life.ts';
import { GpuNumbers } from '../../shared/workers/gpu-numbers.ts';
import { claimGpuNumber } from '../../worker/gpu-number.ts';
import { visibleDevices } from '../../worker/onnx/nvidia-devices.ts';
import { OwnHost } from '../../worker/own-host.ts';
import { Lease } from '../../worker/queues/lease.ts';
import { QUIET_LOG, SILENT_LOGGER } from '../support/quiet-log.ts';
import { startRedisServer } from '../support/redis-server.ts';

const HOLDER_SCRIPT = fileURLToPath(new URL('../queues/lease-holder.ts', import.meta.url));
const [H100, A100, SPARE] = ['GPU-1a', 'GPU-2b', 'GPU-3c'].map((device) => ({ host: 'one', device })) as [
  { host: string; device: string },
  { host: string; device: string },
  { host: string; device: string },
];
const server = await startRedisServer();
const [redis, other] = [await server.connect(), await server.connect()];
const [numbers, ofOthers] = [new GpuNumbers(redis), new GpuNumbers(other)];
beforeEach(() => redis.flushall());

/** As a worker does that has taken its lease. */
async function serve(gpuId: number): Promise<void> {
  await redis.set(leaseKey(`gpu-${gpuId}`), 'somebody');
  await numbers.claimed(gpuId);
}
/** As a worker does that ends. */
async function leave(gpuId: number): Promise<void> {
  await redis.del(leaseKey(`gpu-${gpuId}`));
}

describe('numbers of GPUs', () => {
  it('differ for hosts that start at the same moment, however many', async () => {
    const hosts = Array.from({ length: 40 }, (_, index) => ({ host: `host-${index}`, device: `GPU-${index}` }));
    const claims = hosts.map((device, index) => (index % 2 ? numbers : ofOthers).claim(`token-${index}`, [device]));
    const gpuIds = (await Promise.all(claims)).map((claim) => claim?.gpuId ?? -1);
    assert.deepEqual(
      gpuIds.toSorted((a, b) => a - b),
      hosts.map((_, index) => index),
    );
  });

  it('stay with their devices, also when others have come meanwhile', async () => {
    assert.equal((await numbers.claim('a', [H100]))?.gpuId, 0);
    await serve(0);
    assert.equal((await numbers.claim('b', [A100]))?.gpuId, 1);
    await serve(1);
    await leave(0);
    assert.equal((await numbers.claim('c', [SPARE]))?.gpuId, 2);
    assert.deepEqual(await numbers.claim('d', [H100, A100]), { gpuId: 0, device: 'GPU-1a' });
  });

  it('are not given away while a worker has them, or is about to', async () => {
    assert.equal((await numbers.claim('a', [H100]))?.gpuId, 0);
    assert.deepEqual(await numbers.claim('b', [H100, A100]), { gpuId: 1, device: 'GPU-2b' });
    assert.equal(await numbers.claim('c', [H100, A100]), undefined);
    assert.equal((await numbers.claim('a', [H100]))?.gpuId, 0, 'whoever asks again, because the answer was lost');
    await serve(0);
    assert.equal(await numbers.claim('c', [H100]), undefined);
    assert.equal((await numbers.claim('c', [H100], ['somebody']))?.gpuId, 0, 'of a worker that is known to have ended');
  });

  it('come back while another worker stands in on the queue', async () => {
    await numbers.claim('a', [H100]);
    await numbers.claimed(0);
    const holder = (workerId: string) => JSON.stringify({ host: 'two', pid: 7, workerId });
    await redis.set(leaseKey('gpu-0'), holder('gpu-10-5f3b91aa'));
    assert.equal((await numbers.claim('b', [H100]))?.gpuId, 0);
    await numbers.claimed(0);
    await redis.set(leaseKey('gpu-0'), holder('gpu-0-5f3b91aa'));
    assert.equal(await numbers.claim('c', [H100]), undefined);
  });

  it('go past those that were given by hand, and past queues of earlier versions', async () => {
    await numbers.giveByHand(0, 'by-hand');
    await redis.set(leaseKey('gpu-1'), 'of a version that notes no numbers');
    await enrolGpus(redis, [2]);
    assert.equal((await numbers.claim('a', [H100]))?.gpuId, 3);
    await leave(3);
    // A worker that is started with the number has it from then on.
    await numbers.giveByHand(3, 'by-hand');
    await numbers.claimed(3);
    assert.equal((await numbers.claim('b', [H100]))?.gpuId, 4);
    assert.deepEqual([...(await numbers.all())].sort(), [
      [0, { host: 'by-hand', device: null }],
      [3, { host: 'by-hand', device: null }],
      [4, H100],
    ]);
  });

  it('are free again when they are freed, and not while a worker has them', async () => {
    await numbers.claim('a', [H100]);
    assert.equal(await numbers.free(0), false);
    await serve(0);
    assert.equal(await numbers.free(0), false);
    await leave(0);
    assert.equal(await numbers.free(0), true);
    assert.equal((await numbers.claim('b', [A100]))?.gpuId, 0);
  });
});

describe('worker --gpu auto', () => {
  const config = loadConfig(undefined, readEnvironment({ FARM_GPUS__ENABLED: 'false', FARM_HOST: 'this-one' }));
  const tools = { connection: redis, host: new OwnHost(config, [], redis, QUIET_LOG), log: SILENT_LOGGER };

  it('takes a place of its own beside other workers of the host, and that of one that was killed at once', async (t) => {
    const first = await claimGpuNumber(config, tools);
    const child = fork(HOLDER_SCRIPT, [server.url, `gpu-${first}`]);
    await once(child, 'message');
    await numbers.claimed(first);
    const second = await claimGpuNumber(config, tools);
    assert.deepEqual([first, second], [0, 1]);
    const lease = new Lease(redis, 'gpu-1', { workerId: 'second', ...ownIdentity() }, QUIET_LOG);
    await lease.take(() => assert.fail('lost'));
    t.after(() => lease.release());
    await numbers.claimed(second);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    assert.equal(await claimGpuNumber(config, tools), first);
    assert.deepEqual((await numbers.all()).get(1), { host: 'this-one', device: 'this-one/place-1' });
  });
});

it('shows the devices that CUDA would, a split one as its parts', () => {
  const listing = [
    'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5a1c-00)',
    '  MIG 1g.10gb     Device  0: (UUID: MIG-7d)',
    '  MIG 1g.10gb     Device  1: (UUID: MIG-8e)',
    'GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-6b2d-01)',
    'GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-7c3e-02)',
    '',
  ].join('\n');
  const shown = (visible?: string) => visibleDevices(listing, visible?.split(','));
  assert.deepEqual(shown(), ['MIG-7d', 'MIG-8e', 'GPU-6b2d-01', 'GPU-7c3e-02']);
  assert.deepEqual(shown('2,1'), ['GPU-7c3e-02', 'GPU-6b2d-01']);
  assert.deepEqual(shown('GPU-6b'), ['GPU-6b2d-01']);
  assert.deepEqual(shown('MIG-8e,2'), ['MIG-8e', 'GPU-7c3e-02']);
  assert.deepEqual(shown('1,9,2'), ['GPU-6b2d-01'], 'nothing behind what is no device');
  assert.deepEqual([shown(''), visibleDevices('', undefined)], [[], []]);
});
