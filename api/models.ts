import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors.ts';
import { readHeartbeats } from '../shared/heartbeat.ts';
import { UNLOAD_CHANNEL } from '../shared/queues.ts';

/** What the front end knows of models: those of the configuration, and what the workers say of them. */
export class Models {
  readonly #config: Config;
  readonly #redis: Redis;

  constructor(config: Config, redis: Redis) {
    this.#config = config;
    this.#redis = redis;
  }

  /** FarmError('model_unknown' | 'model_unusable') for a model that no worker of the farm could render. */
  async refuseUnusable(modelId: string): Promise<void> {
    const model = this.#config.models.get(modelId);
    if (!model) {
      const known = [...this.#config.models.keys()].join(', ') || 'none';
      throw new FarmError('model_unknown', `There is no model "${modelId}"; configured: ${known}`);
    }
    if (model.problems.length > 0) throw unusable(modelId, model.problems);
    const workers = (await readHeartbeats(this.#redis)).filter(({ gpuId }) => gpuId !== null);
    const found = workers.map(({ models }) => models.find((state) => state.modelId === modelId)?.problems ?? []);
    const [problems] = found;
    if (problems && found.every((list) => list.length > 0)) throw unusable(modelId, problems);
  }

  /**
   * Has every GPU worker unload the model once nothing uses it, and waits for that. FarmError: model_unknown,
   * request_invalid when it is loaded nowhere, deadline_exceeded while it is in use.
   */
  async unload(modelId: string, signal: AbortSignal): Promise<void> {
    await this.refuseUnusable(modelId);
    if (!(await this.#isLoaded(modelId))) {
      throw new FarmError('request_invalid', `Model "${modelId}" is not loaded on any GPU`);
    }
    await this.#redis.publish(UNLOAD_CHANNEL, modelId);
    const deadlineMs = Date.now() + UNLOAD_PATIENCE_MS;
    while (await this.#isLoaded(modelId)) {
      if (Date.now() > deadlineMs) {
        throw new FarmError(
          'deadline_exceeded',
          `Model "${modelId}" is in use; it will be unloaded when it no longer is`,
        );
      }
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  }

  async #isLoaded(modelId: string): Promise<boolean> {
    const heartbeats = await readHeartbeats(this.#redis);
    return heartbeats.some(({ models }) => models.some((model) => model.modelId === modelId && model.loaded !== null));
  }
}

const UNLOAD_PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 50;

function unusable(modelId: string, problems: readonly string[]): FarmError {
  return new FarmError('model_unusable', `Model "${modelId}" cannot be used: ${problems.join('; ')}`);
}
