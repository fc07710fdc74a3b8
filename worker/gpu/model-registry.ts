/** The models of one GPU process: loaded when first asked for, kept until unloaded. */

import { FarmError } from '../../shared/errors.ts';
import type { LoadedModelState } from '../../shared/heartbeat.ts';
import { type LoadedModel, loadModel, type ModelPaths } from './loaded-model.ts';
import type { RunSettings } from './onnx-model.ts';
import { SharedEncoders } from './shared-encoders.ts';
import { SingleFlight } from './single-flight.ts';

export interface ModelRegistryOptions extends RunSettings {
  /** Every configured model, by id. */
  readonly models: ReadonlyMap<string, ModelPaths>;
  /** Decoded background pictures that each model keeps in memory, ≥ 1. */
  readonly cachedFrames: number;
}

/** Invariant: a model is loaded at most once at any time; a load that fails leaves nothing behind. */
export class ModelRegistry {
  readonly #options: ModelRegistryOptions;
  readonly #encoders: SharedEncoders;
  readonly #models = new SingleFlight<LoadedModel>();
  readonly #ready = new Map<string, LoadedModel>();

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
    this.#encoders = new SharedEncoders(options);
  }

  /**
   * The loaded model; callers that come while it loads wait for the same load.
   * @throws FarmError `model_unknown` for an id that is not configured, else as loadModel does. The next call tries again.
   */
  async load(modelId: string): Promise<LoadedModel> {
    const paths = this.#options.models.get(modelId);
    if (paths === undefined) {
      const known = [...this.#options.models.keys()].join(', ') || 'none';
      throw new FarmError('model_unknown', `there is no model ${modelId}: configured are ${known}`);
    }
    const { providers, threads, cachedFrames } = this.#options;
    return await this.#models.get(modelId, async () => {
      const model = await loadModel({ modelId, paths, providers, threads, cachedFrames, encoders: this.#encoders });
      this.#ready.set(modelId, model);
      return model;
    });
  }

  /** Whether a model is in memory and `load` gives it at once. */
  isLoaded(modelId: string): boolean {
    return this.#ready.has(modelId);
  }

  /** What is in memory. */
  loaded(): Map<string, LoadedModelState> {
    return new Map([...this.#ready].map(([modelId, { loadMs, msPerFrame }]) => [modelId, { loadMs, msPerFrame }]));
  }

  /** Ids of the models that are loaded or loading, in the order in which they were asked for. */
  get modelIds(): string[] {
    return this.#models.keys();
  }

  /**
   * Ends a model's sessions, after its load if it is still loading. No run may be using it.
   * @returns whether it was loaded.
   */
  async unload(modelId: string): Promise<boolean> {
    const model = await this.#models.take(modelId)?.catch(() => undefined);
    this.#ready.delete(modelId);
    await model?.release();
    return model !== undefined;
  }

  /** Unloads everything. */
  async close(): Promise<void> {
    await Promise.all(this.modelIds.map((modelId) => this.unload(modelId)));
  }
}
