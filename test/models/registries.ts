import type { LoadedModel } from '../../worker/models/loaded-model.ts';
import type { ModelLimits } from '../../worker/models/model-limits.ts';
import type { ModelRegistry } from '../../worker/models/model-registry.ts';
import type { ModelUse, UseKind } from '../../worker/models/model-slot.ts';
import { until } from '../support/until.ts';

/** Limits that nothing in a test reaches. */
export const ROOMY: ModelLimits = {
  maxModels: 100,
  maxBytes: 2 ** 40,
  evictionPolicy: 'lfu',
  idleTimeoutMs: 3_600_000,
};

/** A use that no signal ends. */
export function use(registry: ModelRegistry, modelId: string, kind: UseKind = 'live'): Promise<ModelUse> {
  return registry.use(modelId, { kind, signal: new AbortController().signal });
}

/** Uses a model once and lets go of it; it stays loaded while nothing else needs its place. */
export async function load(registry: ModelRegistry, modelId: string): Promise<LoadedModel> {
  using held = await use(registry, modelId);
  return held.model;
}

export async function unload(registry: ModelRegistry, modelId: string): Promise<void> {
  registry.unload(modelId);
  await until(`${modelId} is unloaded`, () => !registry.loaded().has(modelId));
}

/** One run of the network: fails once the model has been released. */
export async function runOnce({ network }: LoadedModel): Promise<void> {
  await network.generate(new Float32Array(6 * 160 * 160), new Float32Array(8192), 1);
}
