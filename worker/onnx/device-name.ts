/** Name of the device that an execution provider computes on. It is for reports and logs only. */

import { availableParallelism, cpus } from 'node:os';
import { readEnvironment } from '../../shared/process/environment.ts';
import { nvidiaDeviceName } from './nvidia-smi.ts';
import { outputOf } from './system-tools.ts';

/** Vulkan device types as WebGPU prefers them. */
const VULKAN_TYPES = ['DISCRETE_GPU', 'INTEGRATED_GPU', 'VIRTUAL_GPU', 'CPU'];

/**
 * The device that this process gets from a provider, as far as the system's own tools say: nvidia-smi for `cuda` and
 * `tensorrt`, vulkaninfo or nvidia-smi for `webgpu`.
 * @param provider lower-case name, such as `cuda`.
 * @returns a name such as "NVIDIA H100 80GB HBM3" or "AMD EPYC 7763, 8 cores"; "CUDA device" or "WebGPU adapter" when
 * no tool knows it. Never rejects.
 */
export async function deviceName(provider: string): Promise<string> {
  switch (provider) {
    case 'cpu':
      return `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${availableParallelism()} cores`;
    case 'cuda':
    case 'tensorrt':
      return (await nvidiaDeviceName(readEnvironment().cudaDevices)) ?? 'CUDA device';
    case 'webgpu':
      return (
        vulkanDevice((await outputOf('vulkaninfo', ['--summary'])) ?? '') ??
        (await nvidiaDeviceName(undefined)) ??
        'WebGPU adapter'
      );
    default:
      return provider;
  }
}

/**
 * The adapter that WebGPU would choose.
 * @param summary what `vulkaninfo --summary` prints.
 * @returns its name, software renderers last; undefined when no device is listed.
 */
export function vulkanDevice(summary: string): string | undefined {
  const types = [...summary.matchAll(/deviceType\s*=\s*PHYSICAL_DEVICE_TYPE_(\w+)/g)].map(([, type]) => type ?? '');
  const names = [...summary.matchAll(/deviceName\s*=\s*(.+)/g)].map(([, name]) => name?.trim());
  const rankOf = (index: number) => VULKAN_TYPES.indexOf(types[index] ?? '') + 1 || VULKAN_TYPES.length + 1;
  const order = names.map((name, index) => ({ name, rank: rankOf(index) }));
  return order.sort((a, b) => a.rank - b.rank)[0]?.name;
}
