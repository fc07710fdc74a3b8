import type { Config } from '../../shared/config/load.ts';
import type { Heartbeat } from '../../shared/heartbeat.ts';
import type { HealthResponse, ModelInfo, ModelStats } from './messages.ts';

/** What MonolithicService says of models and GPUs, from what the GPU workers say of themselves. */

/** GPU number where there is none. */
export const NO_GPU = -1;
/** Memory of models and GPUs: the farm does not know it yet. */
const UNKNOWN = 0;

/** All configured models, in the order of the configuration. */
export function modelInfos(config: Config, heartbeats: readonly Heartbeat[]): ModelInfo[] {
  return modelStats(config, heartbeats).map(({ total_inference_ms: _, last_used_timestamp: __, ...info }) => info);
}

/** Requests and times are those of all GPUs together, since their workers started. */
export function modelStats(config: Config, heartbeats: readonly Heartbeat[]): ModelStats[] {
  return [...config.models.keys()].map((modelId) => {
    const gpuId = gpuThatHas(modelId, heartbeats);
    const usages = heartbeats
      .flatMap(({ models }) => models.filter((model) => model.modelId === modelId))
      .map(({ usage }) => usage);
    const requestCount = usages.reduce((sum, usage) => sum + usage.requestCount, 0);
    const totalInferenceMs = usages.reduce((sum, usage) => sum + usage.totalInferenceMs, 0);
    return {
      model_id: modelId,
      loaded: gpuId !== NO_GPU,
      gpu_id: gpuId,
      memory_mb: UNKNOWN,
      request_count: requestCount,
      total_inference_ms: Math.round(totalInferenceMs),
      avg_inference_ms: requestCount > 0 ? totalInferenceMs / requestCount : 0,
      last_used_timestamp: Math.floor(Math.max(0, ...usages.map(({ lastUsedAtMs }) => lastUsedAtMs ?? 0)) / 1000),
    };
  });
}

/** GPUs with a worker that takes work, ascending. */
export function liveGpus(heartbeats: readonly Heartbeat[]): number[] {
  const gpuIds = heartbeats.flatMap(({ gpuId, draining }) => (gpuId === null || draining ? [] : [gpuId]));
  return [...new Set(gpuIds)].sort((a, b) => a - b);
}

/** @param heartbeats none when Redis does not answer. */
export function healthOf(config: Config, heartbeats: readonly Heartbeat[]): HealthResponse {
  const gpuIds = liveGpus(heartbeats);
  return {
    healthy: gpuIds.length > 0,
    loaded_models: modelInfos(config, heartbeats).filter(({ loaded }) => loaded).length,
    max_models: config.capacity.max_models,
    gpu_ids: gpuIds,
    gpu_memory_used_gb: gpuIds.map(() => UNKNOWN),
  };
}

/** The lowest GPU that has the model in memory. */
function gpuThatHas(modelId: string, heartbeats: readonly Heartbeat[]): number {
  const holders = heartbeats.filter(({ models }) =>
    models.some((model) => model.modelId === modelId && model.loaded !== null),
  );
  const gpuIds = holders.flatMap(({ gpuId }) => gpuId ?? []);
  return gpuIds.length > 0 ? Math.min(...gpuIds) : NO_GPU;
}
