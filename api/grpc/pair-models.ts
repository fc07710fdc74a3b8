import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { currentWorkers, type Heartbeat, readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { gpusForModel } from '../../shared/workers/placement.ts';
import { type Caller, mayDo } from '../access/caller.ts';
import type { GpuWish } from '../live/live-request.ts';
import { modelIdOf } from '../model-id.ts';
import { holdersOf, totalsOf } from '../model-view.ts';
import type { Models } from '../models.ts';
import type { Services } from '../services.ts';
import type { Calls } from './calls.ts';
import type {
  GetModelStatsRequest,
  GetModelStatsResponse,
  LoadModelRequest,
  LoadModelResponse,
  ModelStats,
  UnloadModelRequest,
  UnloadModelResponse,
} from './messages/inference.ts';
import { refusalText } from './status.ts';

/** What the two services of the separated pair have in common: the models, with the same messages. */

export type PairServices = Pick<Services, 'config' | 'redis' | 'live' | 'models'>;

/**
 * The handlers of both services for models.
 * @param modelInfo how the service shows one: of all messages here, it is the only one that differs.
 */
export function pairModelHandlers<I>(
  services: PairServices,
  calls: Calls,
  modelInfo: (config: Config, heartbeats: readonly Heartbeat[], modelId: string) => I,
): UntypedServiceImplementation {
  const { config, redis } = services;
  const infos = (heartbeats: readonly Heartbeat[], modelId: string) =>
    wantedModels(config, modelId).map((id) => modelInfo(config, heartbeats, id));
  return {
    ListModels: calls.unary(async () => ({ models: infos(await readHeartbeats(redis), '') })),
    LoadModel: calls.unary((request: LoadModelRequest, signal, caller) =>
      loadPairModel(services, request, caller, signal),
    ),
    UnloadModel: calls.unary((request: UnloadModelRequest, signal) => unloadPairModel(services, request, signal)),
    GetModelStats: calls.unary(async ({ model_id }: GetModelStatsRequest) => {
      const heartbeats = await readHeartbeats(redis);
      return { models: infos(heartbeats, model_id), ...pairTotals(config, heartbeats) };
    }),
  };
}

/** Use is that of all GPUs together, since their workers started; memory that of all GPUs that have the model. */
export function pairStats(heartbeats: readonly Heartbeat[], modelId: string): ModelStats {
  const holders = holdersOf(heartbeats, modelId);
  const { requestCount, totalInferenceMs, lastUsedAtMs } = totalsOf(heartbeats, modelId);
  return {
    usage_count: requestCount,
    last_used_unix_ms: Math.floor(lastUsedAtMs ?? 0),
    total_inference_time_ms: totalInferenceMs,
    memory_bytes: sum(holders.map(({ memoryBytes }) => memoryBytes)),
    loaded_unix_ms: holders.length > 0 ? Math.floor(Math.min(...holders.map(({ loadedAtMs }) => loadedAtMs))) : 0,
  };
}

/** What all models take together, and may take. */
export function pairTotals(
  { capacity, models }: Config,
  heartbeats: readonly Heartbeat[],
): Omit<GetModelStatsResponse, 'models'> {
  const memories = currentWorkers(heartbeats).map(({ memory }) => memory);
  return {
    max_models: capacity.max_models,
    loaded_models: [...models.keys()].filter((modelId) => holdersOf(heartbeats, modelId).length > 0).length,
    total_memory_bytes: sum(memories.map((memory) => memory?.usedBytes ?? 0)),
    max_memory_bytes: sum(memories.map((memory) => memory?.limitBytes ?? 0)),
  };
}

/** The models that a GetModelStatsRequest means: the one it names, none when there is no such model, or all. */
function wantedModels({ models }: Config, named: string): string[] {
  return [...models.keys()].filter((modelId) => named === '' || named === modelId);
}

/** LoadModel. FarmError for what is told by status: forbidden for a reload without the role `operate`, and the like. */
async function loadPairModel(
  services: PairServices,
  { model_id, force_reload }: LoadModelRequest,
  caller: Caller,
  signal: AbortSignal,
): Promise<LoadModelResponse> {
  if (force_reload && !mayDo(caller.role, 'operate')) {
    throw new FarmError('forbidden', `force_reload: the key "${caller.keyName}" has the role "${caller.role}"`);
  }
  try {
    const modelId = modelIdOf(services.config, model_id);
    const wishes = force_reload ? await unloaded(services.models, modelId, signal) : [ANYWHERE];
    const loads = await Promise.all(wishes.map((wish) => services.live.load(modelId, wish, signal)));
    return {
      success: true,
      error: '',
      load_time_ms: Math.max(...loads.map(({ modelLoadMs }) => modelLoadMs)),
      stats: pairStats(await readHeartbeats(services.redis), modelId),
    };
  } catch (thrown) {
    return { success: false, error: refusalText(thrown), load_time_ms: 0, stats: null };
  }
}

async function unloadPairModel(
  { models, config }: PairServices,
  { model_id }: UnloadModelRequest,
  signal: AbortSignal,
): Promise<UnloadModelResponse> {
  try {
    await models.unload(modelIdOf(config, model_id), signal);
    return { success: true, error: '' };
  } catch (thrown) {
    return { success: false, error: refusalText(thrown) };
  }
}

const ANYWHERE: GpuWish = {};

/** Has the model unloaded wherever it is loaded. Where to load it again: there, as far as those GPUs take work. */
async function unloaded(models: Models, modelId: string, signal: AbortSignal): Promise<GpuWish[]> {
  await models.refuseUnusable(modelId, 'network');
  if (holdersOf(await models.workers.now(), modelId).length === 0) return [ANYWHERE];
  const gpuIds = await models.unload(modelId, signal);
  const able = gpusForModel(await models.workers.now(), modelId);
  const again = gpuIds.filter((gpuId) => able.includes(gpuId));
  return again.length > 0 ? again.map((onlyGpu) => ({ onlyGpu })) : [ANYWHERE];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
