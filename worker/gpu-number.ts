import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { gpuQueue, leaseKey } from '../shared/jobs/queues.ts';
import { readEnvironment, useCudaDevice } from '../shared/process/environment.ts';
import { hasEnded, isWithinSight } from '../shared/process/process-life.ts';
import { type ClaimableDevice, GpuNumbers } from '../shared/workers/gpu-numbers.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { nvidiaDevices } from './onnx/nvidia-devices.ts';
import { holderSchema } from './queues/lease.ts';

/** `worker --gpu auto`: the number of the farm for the device that this process finds. */

/** Workers of one host that compute on its processor, or by WebGPU, which does not tell its devices apart. */
const MOST_SLOTS = 64;
/** Long enough for the lease of a worker to expire that was killed. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 300;

interface Lease {
  readonly gpuId: number;
  readonly key: string;
  readonly value: string;
}

/**
 * Claims the number of a device that no living worker uses, and has this process use that device alone: the first of
 * the NVIDIA devices that are visible, or a place of this host where there are none.
 * @throws FarmError `gpu_taken` when each device has a living worker.
 */
export async function claimGpuNumber(
  config: Config,
  { connection, host, log }: Pick<WorkerTools, 'connection' | 'host' | 'log'>,
): Promise<number> {
  const numbers = new GpuNumbers(connection);
  const cuda = config.onnx.execution_providers.includes('cuda');
  const ids = cuda ? await nvidiaDevices(readEnvironment().cudaDevices) : [];
  const devices: ClaimableDevice[] =
    ids.length > 0
      ? ids.map((device) => ({ host: host.name, device }))
      : Array.from({ length: MOST_SLOTS }, (_, slot) => ({ host: host.name, device: `${host.name}/place-${slot}` }));
  const token = randomUUID();
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const leases = await leasesOf(connection, await numbers.of(devices.map(({ device }) => device)));
    // A place looks free as long as there are others: whether a worker out of sight lives must be known first.
    if (ids.length === 0) await Promise.all(leases.filter(isOutOfSight).map((lease) => untilKnown(connection, lease)));
    const ended = leases.filter(hasSurelyEnded).map(({ value }) => value);
    const claimed = await numbers.claim(token, devices, ended);
    if (claimed) {
      const { gpuId, device } = claimed;
      if (ids.length > 0) useCudaDevice(device);
      log.info({ gpu: gpuId, device }, 'number claimed');
      return gpuId;
    }
    if (performance.now() > deadlineMs) throw allTaken(devices);
    await delay(LOOK_EVERY_MS);
  }
}

async function leasesOf(redis: Redis, gpuIds: readonly number[]): Promise<Lease[]> {
  const keys = gpuIds.map((gpuId) => leaseKey(gpuQueue(gpuId)));
  const values = keys.length > 0 ? await redis.mget(keys) : [];
  return gpuIds.flatMap((gpuId, index) => {
    const [key, value] = [keys[index], values[index]];
    return key && value ? [{ gpuId, key, value }] : [];
  });
}

function hasSurelyEnded({ value }: Lease): boolean {
  return hasEnded(holderSchema.parse(JSON.parse(value)));
}

/** Not for a worker that stands in for another one: it gives the queue back. */
function isOutOfSight({ gpuId, value }: Lease): boolean {
  const holder = holderSchema.parse(JSON.parse(value));
  return !isWithinSight(holder) && holder.workerId.startsWith(`${gpuQueue(gpuId)}-`);
}

/** Resolves once the lease is renewed, which a living worker does, or has gone. */
async function untilKnown(redis: Redis, { key, value }: Lease): Promise<void> {
  let leftMs = await redis.pttl(key);
  for (;;) {
    await delay(LOOK_EVERY_MS);
    const [nowMs, holder] = await Promise.all([redis.pttl(key), redis.get(key)]);
    if (nowMs > leftMs || holder !== value) return;
    leftMs = nowMs;
  }
}

function allTaken(devices: readonly ClaimableDevice[]): FarmError {
  const shown = devices.slice(0, 8).map(({ device }) => device);
  return new FarmError('gpu_taken', `Each device that this process may use has a worker: ${shown.join(', ')}`);
}
