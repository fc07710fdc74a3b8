import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Config } from '../../shared/config/load.ts';
import { FARM_VERSION } from '../../shared/version.ts';
import { type Heartbeat, workerOf } from '../../shared/workers/heartbeat.ts';
import { holdersOf } from '../model-view.ts';
import type { Calls } from './calls.ts';
import { type ReceivedMouthRequest, toMouthRequest } from './composite-request.ts';
import type { GPUInfo, HealthResponse, InferBatchResponse, ModelInfo } from './messages/inference.ts';
import { heartbeatsIfAny, liveGpus, NO_GPU } from './model-list.ts';
import { type PairServices, pairModelHandlers, pairStats, pairTotals } from './pair-models.ts';
import { refusalText } from './status.ts';

const CUDA = 'cuda';
/** [3, 320, 320] float32. */
const LARGEST_MOUTH_BYTES = 3 * 320 * 320 * 4;

/** The handlers of proto/inference.proto. */
export function inferenceHandlers(services: PairServices, calls: Calls): UntypedServiceImplementation {
  const { config, redis } = services;
  return {
    InferBatch: calls.unary((request: ReceivedMouthRequest, signal, _caller, expect) =>
      inferBatch(services, request, signal, expect),
    ),
    ...pairModelHandlers(services, calls, modelInfo),
    Health: calls.unary(async () => healthOf(config, await heartbeatsIfAny(redis))),
  };
}

async function inferBatch(
  { live, config }: PairServices,
  request: ReceivedMouthRequest,
  signal: AbortSignal,
  expect: (answerBytes: number) => void,
): Promise<InferBatchResponse> {
  try {
    const wanted = toMouthRequest(request, config);
    expect(wanted.frameCount * LARGEST_MOUTH_BYTES);
    const { frames, summary } = await live.infer(wanted, signal);
    return {
      outputs: frames.map((data) => ({ data })),
      inference_time_ms: summary.inferenceMs,
      audio_processing_ms: summary.audioMs,
      success: true,
      error: '',
      worker_id: summary.gpuId,
      gpu_id: summary.gpuId,
    };
  } catch (thrown) {
    const error = refusalText(thrown);
    const nothing = { inference_time_ms: 0, audio_processing_ms: 0, worker_id: NO_GPU, gpu_id: NO_GPU };
    return { outputs: [], ...nothing, success: false, error };
  }
}

function modelInfo({ models }: Config, heartbeats: readonly Heartbeat[], modelId: string): ModelInfo {
  const [holder] = holdersOf(heartbeats, modelId);
  return {
    model_id: modelId,
    loaded: holder !== undefined,
    model_path: models.get(modelId)?.modelPath ?? '',
    stats: pairStats(heartbeats, modelId),
    gpu_id: holder?.gpuId ?? NO_GPU,
  };
}

/** @param heartbeats none when Redis does not answer. */
function healthOf(config: Config, heartbeats: readonly Heartbeat[]): HealthResponse {
  const gpuIds = liveGpus(heartbeats);
  const workers = gpuIds.map((gpuId) => workerOf(heartbeats, gpuId));
  const { loaded_models, max_models } = pairTotals(config, heartbeats);
  return {
    healthy: gpuIds.length > 0,
    cuda_available: workers.some((worker) => worker?.provider === CUDA),
    loaded_models,
    max_models,
    gpu_count: gpuIds.length,
    version: FARM_VERSION,
    gpus: workers.flatMap((worker) => (worker ? [gpuInfo(worker)] : [])),
  };
}

function gpuInfo({ gpuId, device, memory, models }: Heartbeat): GPUInfo {
  return {
    gpu_id: gpuId ?? NO_GPU,
    name: device ?? '',
    total_memory_bytes: memory?.limitBytes ?? 0,
    used_memory_bytes: memory?.usedBytes ?? 0,
    loaded_models: models.filter(({ loaded }) => loaded !== null).length,
  };
}
