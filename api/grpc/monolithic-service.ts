import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { modelIdOf } from '../model-id.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import { compositeBatch } from './composite-batch.ts';
import type { ReceivedBatchRequest } from './composite-request.ts';
import type {
  GetModelStatsRequest,
  HealthResponse,
  LoadModelRequest,
  LoadModelResponse,
  ModelInfo,
  ModelStats,
  UnloadModelRequest,
  UnloadModelResponse,
} from './messages/monolithic.ts';
import { healthOf, heartbeatsIfAny, modelInfos, modelStats, NO_GPU } from './model-list.ts';
import { refusalText } from './status.ts';

type MonolithicServices = Pick<Services, 'config' | 'redis' | 'live' | 'models'>;

/** The handlers of proto/monolithic.proto. */
export function monolithicHandlers(services: MonolithicServices, calls: Calls): UntypedServiceImplementation {
  const service = new MonolithicService(services);
  return {
    InferBatchComposite: calls.unary((request: ReceivedBatchRequest, signal) =>
      compositeBatch(services, request, signal),
    ),
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
      const modelId = modelIdOf(config, request.model_id);
      const { gpuId, modelLoadMs } = await live.load(modelId, { preferredGpu }, signal);
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

  async health(): Promise<HealthResponse> {
    const { config, redis } = this.#services;
    return healthOf(config, await heartbeatsIfAny(redis));
  }
}
