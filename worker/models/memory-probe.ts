/** What an opened network takes of the memory it lives in: the process's own, or on CUDA that of the device. */

import { stat } from 'node:fs/promises';
import { readEnvironment } from '../../shared/process/environment.ts';
import { type ProviderReport, whyUnavailable } from '../onnx/execution-providers.ts';
import { type DeviceMemory, readDeviceMemory } from '../onnx/nvidia-smi.ts';
import { versionOf } from './file-fingerprint.ts';

export interface Measured<T> {
  readonly opened: T;
  readonly bytes: number;
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
    const deviceBefore = this.#cuda ? await readOwnDevice() : undefined;
    const processBefore = process.memoryUsage.rss();
    const opened = await open();
    const processGrowth = process.memoryUsage.rss() - processBefore;
    const onDevice = opened.provider.provider === 'cuda' && deviceBefore !== undefined;
    const deviceAfter = onDevice ? await readOwnDevice() : undefined;
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

/** The device that CUDA gives this process: the first visible one. */
async function readOwnDevice(): Promise<DeviceMemory | undefined> {
  const [device = '0'] = readEnvironment().cudaDevices ?? [];
  return await readDeviceMemory(device);
}
