import { availableParallelism } from 'node:os';
import type { Config } from '../../shared/config/load.ts';
import type { RunSettings } from '../onnx/onnx-session.ts';
import type { PreparingSettings } from '../prepared/prepared-avatars.ts';

/** More processes that prepare pictures hardly gain time, and each takes 100 MB. */
const MOST_PREPARING = 8;

/** Settings for loading and running that all models share. */
export interface LoadSettings extends RunSettings {
  /** Background pictures that each model keeps in memory, ≥ 1. */
  readonly cachedFrames: number;
  /** Whether segments are kept for later renders, so that it must be known what models are made of. */
  readonly keepsSegments?: boolean;
  /** How avatars are prepared. */
  readonly preparing: PreparingSettings;
}

/** The settings that the configuration asks for. GPU workers use them, and so does an import that tries a model. */
export function loadSettings({ onnx, gpus, capacity, output, storage, limits, preparedDir }: Config): LoadSettings {
  // Threads of all GPU workers of a machine together must not outnumber its cores: that loses a third of the speed.
  const fairShare = Math.max(1, Math.floor(availableParallelism() / gpus.count));
  return {
    providers: onnx.execution_providers,
    threads: { intraOp: onnx.intra_op_threads || fairShare, interOp: onnx.inter_op_threads || 1 },
    cachedFrames: capacity.background_cache_frames,
    keepsSegments: storage.segment_cache_gb > 0,
    preparing: {
      folder: preparedDir,
      quality: output.jpeg_quality,
      reserveGb: limits.disk_reserve_gb,
      // One core stays free for renders and for what else the machine does.
      processes: Math.min(Math.max(1, fairShare - 1), MOST_PREPARING),
    },
  };
}
