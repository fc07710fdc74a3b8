import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { GB, MB } from '../../shared/units.ts';
import { type Heartbeat, readHeartbeats, workerOf } from '../../shared/workers/heartbeat.ts';
import { holdersOf, totalsOf } from '../model-view.ts';
import type { HealthResponse, ModelInfo, ModelStats } from './messages/monolithic.ts';

/** What MonolithicService says of models and GPUs, from what the GPU workers say of themselves. */

/** GPU number where there is none. */
export const NO_GPU = -1;

/** The workers that are alive; none while Redis is away: then nothing is healthy, and that is the answer. */
export async function heartbeatsIfAny(redis: Redis): Promise<Heartbeat[]> {
  return await readHeartbeats(redis).catch((error: unknown) => {
    if (FarmError.from(error).code === 'redis_unavailable') return [];
    throw error;
  });
}

/** All configured models, in the order of the configuration. */
export function modelInfos(config: Config, heartbeats: readonly Heartbeat[]): ModelInfo[] {
  return modelStats(config, heartbeats).map(({ total_inference_ms: _, last_used_timestamp: __, ...info }) => info);
}

/** Requests and times are those of all GPUs together, since their workers started; memory is that of the GPU named. */
export function modelStats(config: Config, heartbeats: readonly Heartbeat[]): ModelStats[] {
  return [...config.models.keys()].map((modelId) => {
    const [holder] = holdersOf(heartbeats, modelId);
    const { requestCount, totalInferenceMs, lastUsedAtMs } = totalsOf(heartbeats, modelId);
    return {
      model_id: modelId,
      loaded: holder !== undefined,
      gpu_id: holder?.gpuId ?? NO_GPU,
      // Whole megabytes; what is loaded takes at least one.
      memory_mb: Math.ceil((holder?.memoryBytes ?? 0) / MB),
      request_count: requestCount,
      total_inference_ms: Math.round(totalInferenceMs),
      avg_inference_ms: requestCount > 0 ? totalInferenceMs / requestCount : 0,
      last_used_timestamp: Math.floor((lastUsedAtMs ?? 0) / 1000),
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
  const usedBytes = (gpuId: number) => workerOf(heartbeats, gpuId)?.memory?.usedBytes ?? 0;
  return {
    healthy: gpuIds.length > 0,
    loaded_models: modelInfos(config, heartbeats).filter(({ loaded }) => loaded).length,
    max_models: config.capacity.max_models,
    gpu_ids: gpuIds,
    gpu_memory_used_gb: gpuIds.map((gpuId) => usedBytes(gpuId) / GB),
  };
}
