import type {
  CompositeBatchRequest,
  CompositeBatchResponse,
  HealthResponse as CompositingHealth,
  ModelInfo as CompositingModel,
} from '../../api/grpc/messages/compositing.ts';
import type {
  GetModelStatsResponse,
  HealthResponse,
  InferBatchRequest,
  InferBatchResponse,
  LoadModelResponse,
  ModelInfo,
  UnloadModelResponse,
} from '../../api/grpc/messages/inference.ts';
import { type CallSettings, COMPOSITING, INFERENCE, TestClient } from './clients.ts';

/** Clients of the separated pair, each at its own port, as its users build them. */

class PairClient extends TestClient {
  readonly #service: string;

  constructor(address: string, service: string) {
    super(address);
    this.#service = service;
  }

  async ask<A>(method: string, message: object, settings?: CallSettings): Promise<A> {
    return await this.unary<A>(this.#service, method, message, settings);
  }

  async load(model_id: string, force_reload = false, settings?: CallSettings): Promise<LoadModelResponse> {
    return await this.ask('LoadModel', { model_id, force_reload }, settings);
  }

  async unload(model_id: string, settings?: CallSettings): Promise<UnloadModelResponse> {
    return await this.ask('UnloadModel', { model_id }, settings);
  }

  async stats(model_id = ''): Promise<GetModelStatsResponse> {
    return await this.ask('GetModelStats', { model_id });
  }
}

/** Of compositing.CompositingService. */
export class CompositingClient extends PairClient {
  constructor(address: string) {
    super(address, COMPOSITING);
  }

  async infer(request: Partial<CompositeBatchRequest>): Promise<CompositeBatchResponse> {
    return await this.ask('InferBatchComposite', request);
  }

  async models(): Promise<readonly CompositingModel[]> {
    return (await this.ask<{ models: CompositingModel[] }>('ListModels', {})).models;
  }

  async health(): Promise<CompositingHealth> {
    return await this.ask('Health', {});
  }
}

/** Of inference.InferenceService. */
export class InferenceClient extends PairClient {
  constructor(address: string) {
    super(address, INFERENCE);
  }

  async infer(request: Partial<InferBatchRequest>): Promise<InferBatchResponse> {
    return await this.ask('InferBatch', request);
  }

  /** The mouths; throws what the farm says instead. */
  async mouths(request: Partial<InferBatchRequest>): Promise<Float32Array[]> {
    const { success, error, outputs } = await this.infer(request);
    if (!success) throw new Error(error);
    return outputs.map(({ data }) => new Float32Array(new Uint8Array(data).buffer));
  }

  async models(): Promise<readonly ModelInfo[]> {
    return (await this.ask<{ models: ModelInfo[] }>('ListModels', {})).models;
  }

  async health(): Promise<HealthResponse> {
    return await this.ask('Health', {});
  }
}
