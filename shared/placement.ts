import type { Heartbeat } from './heartbeat.ts';

/** Where a render's segments go. Pure: the dispatcher reads the farm's state and hands it in. */

export interface GpuState {
  readonly gpuId: number;
  /** Jobs waiting and running on the GPU's queue. */
  readonly backlog: number;
}

export interface PlacementPolicy {
  readonly strategy: 'round-robin' | 'least-loaded';
  /** The GPU the model's entry asks for. */
  readonly preferredGpu: number | undefined;
  /** False keeps all segments of a render on one GPU. */
  readonly spread: boolean;
}

/**
 * One GPU number a segment. `candidates` are the GPUs that can render the model; `firstTurn` shifts the round so that
 * short renders do not all begin on the same GPU.
 */
export function placeSegments(
  segmentCount: number,
  candidates: readonly GpuState[],
  policy: PlacementPolicy,
  firstTurn: number,
): number[] {
  if (candidates.length === 0) throw new RangeError('No GPU to place segments on');
  const preferred = candidates.find(({ gpuId }) => gpuId === policy.preferredGpu);
  if (preferred) return new Array<number>(segmentCount).fill(preferred.gpuId);
  const loads = candidates.map((_, index) => ({
    ...(candidates[(index + firstTurn) % candidates.length] as GpuState),
  }));
  const pick = (turn: number) => {
    if (policy.strategy === 'round-robin') return loads[turn % loads.length];
    return loads.reduce((least, load) => (load.backlog < least.backlog ? load : least));
  };
  return Array.from({ length: segmentCount }, (_, index) => {
    const load = pick(policy.spread ? index : 0);
    if (!load) throw new RangeError('No GPU to place segments on');
    if (policy.spread) load.backlog += 1;
    return load.gpuId;
  });
}

/** GPUs with a living, not draining worker that has the model in its configuration and nothing to say against it. */
export function gpusForModel(heartbeats: readonly Heartbeat[], modelId: string): number[] {
  const able = heartbeats.filter(
    ({ gpuId, draining, models }) =>
      gpuId !== null && !draining && models.some((model) => model.modelId === modelId && model.problems.length === 0),
  );
  return [...new Set(able.map(({ gpuId }) => gpuId as number))];
}
