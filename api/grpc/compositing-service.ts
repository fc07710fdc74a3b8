import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Config } from '../../shared/config/load.ts';
import { grpcAddresses } from '../../shared/config/open-address.ts';
import { FARM_VERSION } from '../../shared/version.ts';
import type { Heartbeat } from '../../shared/workers/heartbeat.ts';
import { holdersOf } from '../model-view.ts';
import type { Calls } from './calls.ts';
import { compositeBatch } from './composite-batch.ts';
import type { ReceivedBatchRequest } from './composite-request.ts';
import type { HealthResponse, ModelInfo } from './messages/compositing.ts';
import { heartbeatsIfAny, liveGpus } from './model-list.ts';
import { type PairServices, pairModelHandlers, pairStats, pairTotals } from './pair-models.ts';

/** The handlers of proto/compositing.proto. */
export function compositingHandlers(services: PairServices, calls: Calls): UntypedServiceImplementation {
  const { config, redis } = services;
  return {
    InferBatchComposite: calls.unary((request: ReceivedBatchRequest, signal) =>
      compositeBatch(services, request, signal),
    ),
    ...pairModelHandlers(services, calls, modelInfo),
    Health: calls.unary(async () => healthOf(config, await heartbeatsIfAny(redis))),
  };
}

function modelInfo({ models }: Config, heartbeats: readonly Heartbeat[], modelId: string): ModelInfo {
  const model = models.get(modelId);
  return {
    model_id: modelId,
    loaded: holdersOf(heartbeats, modelId).length > 0,
    model_path: model?.modelPath ?? '',
    background_dir: model?.backgroundDir ?? '',
    crop_rects_path: model?.cropRectsPath ?? '',
    stats: pairStats(heartbeats, modelId),
  };
}

/** The farm is its own inference server, so both are healthy or neither. */
function healthOf(config: Config, heartbeats: readonly Heartbeat[]): HealthResponse {
  const healthy = liveGpus(heartbeats).length > 0;
  const { loaded_models, max_models } = pairTotals(config, heartbeats);
  const inference = grpcAddresses(config).find(({ key }) => key === 'server.inference_port');
  return {
    healthy,
    inference_server_healthy: healthy,
    loaded_models,
    max_models,
    version: FARM_VERSION,
    inference_server_url: inference ? `${inference.host}:${inference.port}` : '',
  };
}
