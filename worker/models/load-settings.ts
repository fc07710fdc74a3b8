import { availableParallelism } from 'node:os';
import type { Config } from '../../shared/config/load.ts';
import type { RunSettings } from '../onnx/onnx-session.ts';

/** Settings for loading and running that all models share. */
export interface LoadSettings extends RunSettings {
  /** Background pictures that each model keeps in memory, ≥ 1. */
  readonly cachedFrames: number;
}

/** The settings that the configuration asks for. GPU workers use them, and so does an import that tries a model. */
export function loadSettings({ onnx, gpus, capacity }: Config): LoadSettings {
  // Threads of all GPU workers of a machine together must not outnumber its cores: that loses a third of the speed.
  const fairShare = Math.max(1, Math.floor(availableParallelism() / gpus.count));
  return {
    providers: onnx.execution_providers,
    threads: { intraOp: onnx.intra_op_threads || fairShare, interOp: onnx.inter_op_threads || 1 },
    cachedFrames: capacity.background_cache_frames,
  };
}
