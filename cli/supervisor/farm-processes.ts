import { fileURLToPath } from 'node:url';
import { gpuTunables } from '../../shared/process/environment.ts';
import type { ProcessSpec } from './supervised-process.ts';

const entry = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));

export const ENTRIES = {
  api: entry('api/main.ts'),
  worker: entry('worker/main.ts'),
  importAvatar: entry('worker/commands/import-avatar.ts'),
  checkAvatar: entry('worker/commands/check-avatar.ts'),
  inspectMel: entry('worker/commands/inspect-mel.ts'),
  inspectModels: entry('worker/commands/inspect-models.ts'),
  buildDemoAvatar: entry('avatars/demo/build.ts'),
} as const;

/**
 * For the Node of a GPU worker. Its main thread hands frames on, and would let what it needs for that grow to 48 MB
 * before it clears it away: 35 to 50 MB less, at no cost that could be measured. A front end needs a fifth more CPU so.
 */
export const GPU_NODE_OPTIONS = ['--max-semi-space-size=4'] as const;

/**
 * Every process of a farm on one machine: a front end, a media worker, one worker a GPU. ONNX Runtime can only be told
 * which device to use by CUDA_VISIBLE_DEVICES, so each GPU worker sees one: the Nth of `cudaDevices`, or number N.
 */
export function farmProcesses(gpuCount: number, cudaDevices: readonly string[] | undefined): ProcessSpec[] {
  const gpus = Array.from({ length: gpuCount }, (_, gpuId) => ({
    name: `gpu-${gpuId}`,
    nodeOptions: GPU_NODE_OPTIONS,
    script: ENTRIES.worker,
    args: ['--gpu', String(gpuId)],
    environment: { ...gpuTunables(), CUDA_VISIBLE_DEVICES: cudaDevices?.[gpuId] ?? String(gpuId) },
  }));
  return [
    { name: 'api', script: ENTRIES.api, args: [], environment: {}, hearsOfOthers: true },
    { name: 'media', script: ENTRIES.worker, args: ['--media'], environment: {} },
    ...gpus,
  ];
}
