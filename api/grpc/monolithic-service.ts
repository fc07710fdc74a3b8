import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors.ts';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import { modelIdOf } from '../model-id.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import { toInferRequest } from './composite-request.ts';
import type {
  CompositeBatchResponse,
  GetModelStatsRequest,
  HealthResponse,
  LoadModelRequest,
  LoadModelResponse,
  ModelInfo,
  ModelStats,
  UnloadModelRequest,
  UnloadModelResponse,
} from './messages/monolithic.ts';
import { healthOf, modelInfos, modelStats, NO_GPU } from './model-list.ts';
import { refusalText } from './status.ts';
import type { ReceivedBatchRequest } from './visual-field.ts';

type MonolithicServices = Pick<Services, 'config' | 'redis' | 'live' | 'models'>;

/** The handlers of proto/monolithic.proto. */
export function monolithicHandlers(services: MonolithicServices, calls: Calls): UntypedServiceImplementation {
  const service = new MonolithicService(services);
  return {
    InferBatchComposite: calls.unary((request: ReceivedBatchRequest, signal) => service.infer(request, signal)),
    ListModels: calls.unary(() => service.listModels()),
    LoadModel: calls.unary((request: LoadModelRequest, signal) => service.loadModel(request, signal)),
    UnloadModel: calls.unary((request: UnloadModelRequest, signal) => service.unloadModel(request, signal)),
    GetModelStats: calls.unary((request: GetModelStatsRequest) => service.modelStats(request)),
    Health: calls.unary(() => service.health()),
  };
}

/** What the one-process server offered. A refusal is an answer with success = false, not a status. */
class MonolithicService {
  readonly #services: MonolithicServices;

  constructor(services: MonolithicServices) {
    this.#services = services;
  }

  async infer(request: ReceivedBatchRequest, signal: AbortSignal): Promise<CompositeBatchResponse> {
    const startedAt = performance.now();
    try {
      const { frames, summary } = await this.#services.live.infer(
        toInferRequest(request, this.#services.config),
        signal,
      );
      return {
        composited_frames: frames,
        inference_time_ms: summary.inferenceMs,
        composite_time_ms: summary.compositeMs,
        total_time_ms: performance.now() - startedAt,
        audio_processing_ms: summary.audioMs,
        model_loaded: summary.modelWasLoaded,
        model_load_time_ms: summary.modelLoadMs,
        success: true,
        error: '',
        gpu_id: summary.gpuId,
      };
    } catch (thrown) {
      return refusedBatch(refusalText(thrown), performance.now() - startedAt);
    }
  }

  async listModels(): Promise<{ models: ModelInfo[] }> {
    const { config, redis } = this.#services;
    return { models: modelInfos(config, await readHeartbeats(redis)) };
  }

  /** Of one model when it is named, and of none when there is no such model. */
  async modelStats({ model_id: wanted }: GetModelStatsRequest): Promise<{ models: ModelStats[] }> {
    const { config, redis } = this.#services;
    const all = modelStats(config, await readHeartbeats(redis));
    return { models: all.filter(({ model_id }) => wanted === '' || wanted === model_id) };
  }

  async loadModel(request: LoadModelRequest, signal: AbortSignal): Promise<LoadModelResponse> {
    const { live, config } = this.#services;
    const preferredGpu = request.preferred_gpu < 0 ? undefined : request.preferred_gpu;
    try {
      const { gpuId, modelLoadMs } = await live.load(modelIdOf(config, request.model_id), preferredGpu, signal);
      return { success: true, error: '', gpu_id: gpuId, load_time_ms: modelLoadMs };
    } catch (thrown) {
      return { success: false, error: refusalText(thrown), gpu_id: NO_GPU, load_time_ms: 0 };
    }
  }

  async unloadModel({ model_id }: UnloadModelRequest, signal: AbortSignal): Promise<UnloadModelResponse> {
    const { models, config } = this.#services;
    try {
      await models.unload(modelIdOf(config, model_id), signal);
      return { success: true, error: '' };
    } catch (thrown) {
      return { success: false, error: refusalText(thrown) };
    }
  }

  /** Answers also while Redis is away: then nothing is healthy. */
  async health(): Promise<HealthResponse> {
    const { config, redis } = this.#services;
    const heartbeats = await readHeartbeats(redis).catch((error: unknown) => {
      if (FarmError.from(error).code === 'redis_unavailable') return [];
      throw error;
    });
    return healthOf(config, heartbeats);
  }
}

function refusedBatch(error: string, totalMs: number): CompositeBatchResponse {
  return {
    composited_frames: [],
    inference_time_ms: 0,
    composite_time_ms: 0,
    total_time_ms: totalMs,
    audio_processing_ms: 0,
    model_loaded: false,
    model_load_time_ms: 0,
    success: false,
    error,
    gpu_id: NO_GPU,
  };
}
