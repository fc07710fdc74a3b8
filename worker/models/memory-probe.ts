/** Measures the memory that an opened network takes: of the process, or on CUDA of the device. */

import { stat } from 'node:fs/promises';
import { readEnvironment } from '../../shared/process/environment.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { type ProviderReport, whyUnavailable } from '../onnx/execution-providers.ts';
import { type DeviceMemory, readDeviceMemory } from '../onnx/nvidia-smi.ts';
import { versionOf } from './file-fingerprint.ts';

export interface Measured<T> {
  readonly opened: T;
  readonly bytes: number;
}

/**
 * Measures how much memory grows while a network is opened and warmed up. A process that reuses freed memory grows by
 * less than the network takes, so the figure is never below the size of its file, nor below the largest figure measured
 * for that file before. The growth belongs to one network only if networks are opened one after the other: callers see
 * to that.
 */
export class MemoryProbe {
  readonly #seen = new Map<string, number>();
  readonly #cuda: boolean;
  /** The first open also loads ONNX Runtime's libraries, so its figure is too large to be remembered for the file. */
  #isFirst = true;

  /** @param providers those that may be used; nvidia-smi is asked only if CUDA is one of them and can work here. */
  constructor(providers: readonly string[]) {
    this.#cuda = providers.includes('cuda') && whyUnavailable('cuda') === undefined;
  }

  /** Opens something from a file and returns it with the bytes that it takes. @throws whatever `open` throws. */
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
      ignored('not to be read: its size counts for nothing', 0),
    );
    const bytes = Math.max(growth, fileBytes, this.#seen.get(version) ?? 0);
    if (!this.#isFirst) this.#seen.set(version, bytes);
    this.#isFirst = false;
    return bytes;
  }
}

/** Growth of the process's memory on the device between two readings, or of all memory in use if it is not listed. */
export function deviceGrowth(before: DeviceMemory, after: DeviceMemory): number {
  return after.own === undefined ? after.all - before.all : after.own - (before.own ?? 0);
}

/** The device that CUDA gives this process: the first visible one. */
async function readOwnDevice(): Promise<DeviceMemory | undefined> {
  const [device = '0'] = readEnvironment().cudaDevices ?? [];
  return await readDeviceMemory(device);
}
