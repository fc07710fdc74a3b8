import { availableParallelism } from 'node:os';
import type { Config } from '../../shared/config/load.ts';
import type { RunSettings } from '../onnx/onnx-session.ts';

/** How models are loaded and run, whichever they are. */
export interface LoadSettings extends RunSettings {
  /** Background pictures that each model keeps in memory, ≥ 1. */
  readonly cachedFrames: number;
}

/** What the configuration says of it: the same for a GPU worker and for whoever only tries a model. */
export function loadSettings({ onnx, gpus, capacity }: Config): LoadSettings {
  // Threads of all GPU workers of a machine together must not outnumber its cores: that loses a third of the speed.
  const fairShare = Math.max(1, Math.floor(availableParallelism() / gpus.count));
  return {
    providers: onnx.execution_providers,
    threads: { intraOp: onnx.intra_op_threads || fairShare, interOp: onnx.inter_op_threads || 1 },
    cachedFrames: capacity.background_cache_frames,
  };
}
