/** What an execution provider computes on, by name: for reports and logs; nothing is decided by it. */

import { execFile } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { promisify } from 'node:util';
import { readEnvironment } from '../../shared/process/environment.ts';

const run = promisify(execFile);

/** A driver in trouble can make its tools hang, and a name is not worth waiting for. */
const TOOL_TIMEOUT_MS = 5000;
const NVIDIA_QUERY = ['--query-gpu=index,uuid,name', '--format=csv,noheader'];

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
      return nvidiaDevice(await outputOf('nvidia-smi', NVIDIA_QUERY), readEnvironment().cudaDevices) ?? 'CUDA device';
    case 'webgpu':
      return (
        vulkanDevice(await outputOf('vulkaninfo', ['--summary'])) ??
        nvidiaDevice(await outputOf('nvidia-smi', NVIDIA_QUERY), undefined) ??
        'WebGPU adapter'
      );
    default:
      return provider;
  }
}

/**
 * The first of the visible NVIDIA devices.
 * @param listing what nvidia-smi prints of index, uuid and name as CSV without header.
 * @param visible entries of CUDA_VISIBLE_DEVICES, indices or the beginnings of uuids; undefined: every device.
 * @returns its name, or undefined when the listing does not have it.
 */
export function nvidiaDevice(listing: string, visible: readonly string[] | undefined): string | undefined {
  const devices = listing
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .map(([index, uuid, ...name]) => ({ index, uuid, name: name.join(', ') }))
    .filter(({ name }) => name !== '');
  if (visible === undefined) return devices[0]?.name;
  const wanted = visible[0]?.trim() ?? '';
  if (wanted === '') return undefined;
  return devices.find(({ index, uuid }) => index === wanted || uuid?.startsWith(wanted))?.name;
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

/** What a tool prints, or nothing when it is not installed or fails. */
async function outputOf(command: string, args: readonly string[]): Promise<string> {
  return await run(command, args, { timeout: TOOL_TIMEOUT_MS }).then(
    ({ stdout }) => stdout,
    () => '',
  );
}
