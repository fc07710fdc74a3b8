/** What an opened network takes of the memory it lives in: the process's own, or on CUDA that of the device. */

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { readEnvironment } from '../../shared/process/environment.ts';
import { type ProviderReport, whyUnavailable } from '../onnx/execution-providers.ts';
import { versionOf } from './file-fingerprint.ts';

const MIB = 2 ** 20;
const NVIDIA_SMI_TIMEOUT_MS = 5000;

export interface Measured<T> {
  readonly opened: T;
  readonly bytes: number;
}

/** Memory of one device in bytes: what this process has of it, where the driver tells processes apart, and all in use. */
export interface DeviceMemory {
  readonly own: number | undefined;
  readonly all: number;
}

/**
 * Measures by what an open, warm-up included, adds. A process that frees and takes memory again grows by less than a
 * network takes, so no figure is below the size of its file, nor below what the same file was seen to take before.
 * Only one open at a time can be told from others: whoever opens waits for its turn.
 */
export class MemoryProbe {
  readonly #seen = new Map<string, number>();
  readonly #cuda: boolean;
  /** The first open also brings the libraries in: its figure says too much of the file. */
  #isFirst = true;

  /** @param providers those that may be used; the device is asked only if CUDA is one that can work here. */
  constructor(providers: readonly string[]) {
    this.#cuda = providers.includes('cuda') && whyUnavailable('cuda') === undefined;
  }

  /** Opens something from a file and says what it takes, in bytes. @throws whatever `open` throws. */
  async measure<T extends { readonly provider: ProviderReport }>(
    path: string,
    open: () => Promise<T>,
  ): Promise<Measured<T>> {
    const deviceBefore = this.#cuda ? await readDeviceMemory() : undefined;
    const processBefore = process.memoryUsage.rss();
    const opened = await open();
    const processGrowth = process.memoryUsage.rss() - processBefore;
    const onDevice = opened.provider.provider === 'cuda' && deviceBefore !== undefined;
    const deviceAfter = onDevice ? await readDeviceMemory() : undefined;
    const growth = deviceBefore && deviceAfter ? deviceGrowth(deviceBefore, deviceAfter) : processGrowth;
    return { opened, bytes: await this.#atLeastSeen(path, growth) };
  }

  async #atLeastSeen(path: string, growth: number): Promise<number> {
    const version = await versionOf(path);
    const fileBytes = await stat(path).then(
      ({ size }) => size,
      () => 0,
    );
    const bytes = Math.max(growth, fileBytes, this.#seen.get(version) ?? 0);
    if (!this.#isFirst) this.#seen.set(version, bytes);
    this.#isFirst = false;
    return bytes;
  }
}

/** What a process took of a device between two readings; where it is not listed, by how much all in use has grown. */
export function deviceGrowth(before: DeviceMemory, after: DeviceMemory): number {
  return after.own === undefined ? after.all - before.all : after.own - (before.own ?? 0);
}

/** Undefined where there is no nvidia-smi or it does not answer as expected. */
async function readDeviceMemory(): Promise<DeviceMemory | undefined> {
  const [device = '0'] = readEnvironment().cudaDevices ?? [];
  try {
    const [apps, gpu] = await Promise.all([
      askNvidiaSmi(device, '--query-compute-apps=pid,used_memory'),
      askNvidiaSmi(device, '--query-gpu=memory.used'),
    ]);
    return parseDeviceMemory(apps, gpu, process.pid);
  } catch {
    return undefined;
  }
}

/**
 * Reads nvidia-smi's CSV without header and units, in MiB.
 * @param apps lines "pid, used". In a container the process is often not among them.
 * @param gpu the used memory of the device.
 * @returns undefined when the device's figure is no number.
 */
export function parseDeviceMemory(apps: string, gpu: string, pid: number): DeviceMemory | undefined {
  const all = Number.parseFloat(gpu) * MIB;
  if (!Number.isFinite(all)) return undefined;
  const rows = apps.split('\n').map((line) => line.split(',').map((cell) => Number.parseFloat(cell)));
  const own = rows.find(([owner]) => owner === pid)?.[1];
  return { own: own === undefined || Number.isNaN(own) ? undefined : own * MIB, all };
}

async function askNvidiaSmi(device: string, query: string): Promise<string> {
  const args = ['-i', device, query, '--format=csv,noheader,nounits'];
  return (await promisify(execFile)('nvidia-smi', args, { timeout: NVIDIA_SMI_TIMEOUT_MS })).stdout;
}
