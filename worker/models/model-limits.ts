import { FarmError } from '../../shared/errors/farm-error.ts';
import { MB } from '../../shared/units.ts';
import type { EvictionPolicy } from './eviction.ts';
import type { ModelSlot } from './model-slot.ts';

/** What the models of a process may take together, and which of them are unloaded first. */
export interface ModelLimits {
  /** Models in memory at once, the one that is being loaded included; ≥ 1. */
  readonly maxModels: number;
  /** Memory of all of them together, in bytes. */
  readonly maxBytes: number;
  readonly evictionPolicy: EvictionPolicy;
  /** A model that was not used for so long is unloaded. */
  readonly idleTimeoutMs: number;
}

/** Memory that models take in all, in bytes, and the part of it that is this process's own. */
export function memoryOf(slots: Iterable<ModelSlot>): { usedBytes: number; hostBytes: number } {
  const sum = { usedBytes: 0, hostBytes: 0 };
  for (const { model } of slots) {
    sum.usedBytes += model.memoryBytes;
    sum.hostBytes += model.hostBytes;
  }
  return sum;
}

/** Whether these models and `moreModels` others, which take `moreBytes`, are within the limits. */
export function fits(slots: ReadonlySet<ModelSlot>, limits: ModelLimits, moreModels = 0, moreBytes = 0): boolean {
  return slots.size + moreModels <= limits.maxModels && memoryOf(slots).usedBytes + moreBytes <= limits.maxBytes;
}

/** The error of a model that takes more than all models may. */
export function tooLarge({ modelId, model }: ModelSlot, { maxBytes }: ModelLimits): FarmError {
  return new FarmError(
    'model_too_large',
    `model ${modelId} takes ${toMb(model.memoryBytes)} MB of memory; all models together may take ${toMb(maxBytes)} MB`,
  );
}

/** Why nothing can be loaded beside these models, for the error of a request that has waited in vain. */
export function whyNoRoom(slots: ReadonlySet<ModelSlot>, { maxModels, maxBytes }: ModelLimits): string {
  const busy = [...slots].filter(({ isIdle }) => !isIdle).map(({ modelId }) => modelId);
  const allowed = `at most ${maxModels} (capacity.max_models) with ${toMb(maxBytes)} MB may be loaded`;
  return `${busy.join(', ') || 'nothing'} is in use, and ${allowed}`;
}

function toMb(bytes: number): number {
  return Math.round(bytes / MB);
}
