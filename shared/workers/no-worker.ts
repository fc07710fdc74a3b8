import type { Heartbeat } from './heartbeat.ts';
import { gpusForModel } from './placement.ts';

/** Why work waits although nothing is wrong with it: no worker of the farm takes it now. Pure. */

/**
 * Why no GPU worker takes segments of a model now, as a sentence; undefined when one does.
 * @param needs tags that a host must have for it.
 */
export function whyNoGpu(
  heartbeats: readonly Heartbeat[],
  modelId: string,
  needs: readonly string[],
): string | undefined {
  if (gpusForModel(heartbeats, modelId).length > 0) return undefined;
  const workers = heartbeats.filter(({ gpuId }) => gpuId !== null);
  if (workers.length === 0) return 'The farm has no GPU worker';
  const tagged = workers.filter(({ onHost }) => needs.every((tag) => onHost?.tags.includes(tag)));
  if (tagged.length === 0) {
    const hosts = [...new Map(workers.map((worker) => [hostNameOf(worker), worker.onHost?.tags ?? []]))];
    const have = hosts.map(([name, tags]) => `${name} has ${tags.join(', ') || 'none'}`);
    return `"${modelId}" needs a host with the tags ${needs.join(', ')}; of the hosts with a GPU worker ${have.join('; ')}`;
  }
  if (tagged.every(({ draining }) => draining)) {
    return `Every GPU worker that could render "${modelId}" is out of service: ${namesOf(tagged)}`;
  }
  const problems = tagged.flatMap(({ models }) => models.find((model) => model.modelId === modelId)?.problems ?? []);
  return `No GPU worker can use "${modelId}": ${[...new Set(problems)].join('; ') || 'none has it in its configuration'}`;
}

/** Why no media worker takes uploads now, as a sentence; undefined when one does. */
export function whyNoMedia(heartbeats: readonly Heartbeat[]): string | undefined {
  const workers = heartbeats.filter(({ gpuId }) => gpuId === null);
  if (workers.some(({ draining }) => !draining)) return undefined;
  return workers.length === 0 ? 'The farm has no media worker' : 'Every media worker is out of service';
}

/** The machine of a worker, as its operator names it. */
export function hostNameOf({ onHost, host }: Pick<Heartbeat, 'onHost' | 'host'>): string {
  return onHost?.name ?? host;
}

function namesOf(workers: readonly Heartbeat[]): string {
  return workers.map((worker) => `GPU ${worker.gpuId} on ${hostNameOf(worker)}`).join(', ');
}
