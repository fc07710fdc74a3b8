import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { hasPictures, type ModelConfig } from '../shared/config/model-config.ts';
import type { ConfigReload } from '../shared/config/reload.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { UNLOAD_CHANNEL } from '../shared/jobs/queues.ts';
import type { HostModels } from '../shared/model-files/host-models.ts';
import { afterwards, untilKnown } from '../shared/redis/outcome.ts';
import type { ModelList } from '../shared/views/models-view.ts';
import { type Heartbeat, readHeartbeats, workerOf } from '../shared/workers/heartbeat.ts';
import { gpusForModel } from '../shared/workers/placement.ts';
import { AuditLog } from './logs/audit-log.ts';
import { holdersOf, viewModels } from './model-view.ts';
import { RecentWorkers } from './recent-workers.ts';

export interface ModelsTools {
  /** Looks for a model that is not known; without it the configuration stays as it is. */
  readonly reload?: Pick<ConfigReload, 'refresh'> | undefined;
  readonly audit?: AuditLog;
  /** Has networks from addresses on this host. */
  readonly files?: Pick<HostModels, 'ready'>;
}

/** What the front end knows of models: those of the configuration, and what the workers say of them. */
export class Models {
  readonly #config: Config;
  readonly #redis: Redis;
  readonly #reload: Pick<ConfigReload, 'refresh'> | undefined;
  readonly #audit: AuditLog;
  readonly #files: Pick<HostModels, 'ready'> | undefined;
  /** What the workers said a moment ago, for what is asked with every request. */
  readonly workers: RecentWorkers;

  constructor(config: Config, redis: Redis, { reload, audit = new AuditLog(), files }: ModelsTools = {}) {
    this.#config = config;
    this.#redis = redis;
    this.#reload = reload;
    this.#audit = audit;
    this.#files = files;
    this.workers = new RecentWorkers(redis);
  }

  /** Every configured model, what the GPU workers say of it, and what their models take. */
  async list(): Promise<ModelList> {
    return await viewModels(this.#config, await readHeartbeats(this.#redis));
  }

  /**
   * FarmError('model_unknown' | 'model_unusable') for a model that no worker of the farm could use; those of
   * `HostModels.ready` while its network is not here.
   * @param needs `pictures` for all that makes frames, `network` where the client brings the pictures, or none are needed.
   * @param asOf 'lately' asks what the workers said a moment ago, and asks them anew before it refuses.
   */
  async refuseUnusable(
    modelId: string,
    needs: 'pictures' | 'network' = 'pictures',
    asOf: 'now' | 'lately' = 'now',
  ): Promise<void> {
    const model = await this.requireKnown(modelId);
    if (model.problems.length > 0) throw unusable(modelId, model.problems);
    // What its network hears decides how a request is dealt with here.
    await this.#files?.ready(model, { part: 'network', waitMs: FETCHED_WITHIN_MS });
    if (needs === 'pictures' && !hasPictures(model)) throw unusable(modelId, [NO_PICTURES]);
    if (asOf === 'lately' && problemsEverywhere(await this.workers.lately(), modelId).length === 0) return;
    // A reading of one's own waits for nobody else's.
    const workers = asOf === 'lately' ? await this.workers.now() : await readHeartbeats(this.#redis);
    const problems = problemsEverywhere(workers, modelId);
    if (problems.length > 0) throw unusable(modelId, problems);
  }

  /** The entry of a model. FarmError('model_unknown'). */
  async requireKnown(modelId: string): Promise<ModelConfig> {
    // It may have been added a moment ago.
    if (!this.#config.models.has(modelId)) await this.#reload?.refresh();
    const model = this.#config.models.get(modelId);
    if (model) return model;
    const known = [...this.#config.models.keys()].join(', ') || 'none';
    throw new FarmError('model_unknown', `There is no model "${modelId}"; configured: ${known}`);
  }

  /**
   * FarmError('request_invalid') when no worker of that GPU is alive that could use the model, 'deadline_exceeded' when it
   * does not hear of a model that was added within the time that a live request may wait.
   */
  async refuseGpu(modelId: string, gpuId: number, signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + this.#config.limits.live_wait_seconds * 1000;
    let heartbeats = await this.workers.now();
    while (isNewTo(workerOf(heartbeats, gpuId), modelId)) {
      if (performance.now() > untilMs) {
        throw new FarmError('deadline_exceeded', `The worker of GPU ${gpuId} has no "${modelId}" in its configuration`);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      heartbeats = await this.workers.now();
    }
    const able = gpusForModel(heartbeats, modelId);
    if (able.includes(gpuId)) return;
    const others = able.join(', ') || 'none';
    throw new FarmError(
      'request_invalid',
      `gpu: GPU ${gpuId} has no worker that can use "${modelId}"; those that can: ${others}`,
    );
  }

  /**
   * Has every GPU worker unload the model once nothing uses it, and waits for that; one that is loaded again meanwhile
   * for other requests has been unloaded. Returns the numbers of the GPUs. FarmError: model_unknown, request_invalid
   * when it is loaded nowhere, deadline_exceeded while it is in use, outcome_unknown.
   */
  async unload(modelId: string, signal: AbortSignal): Promise<number[]> {
    return await this.#audit.noting('model.unload', { model: modelId }, () => this.#unload(modelId, signal));
  }

  async #unload(modelId: string, signal: AbortSignal): Promise<number[]> {
    await this.refuseUnusable(modelId, 'network');
    const loads = await this.#loads(modelId);
    if (loads.size === 0) throw new FarmError('request_invalid', `Model "${modelId}" is not loaded on any GPU`);
    const what = `Model "${modelId}" was to be unloaded`;
    await untilKnown(what, () => this.#redis.publish(UNLOAD_CHANNEL, modelId));
    const deadlineMs = performance.now() + UNLOAD_PATIENCE_MS;
    for (let left = loads; left.size > 0; ) {
      if (performance.now() > deadlineMs) {
        throw new FarmError(
          'deadline_exceeded',
          `Model "${modelId}" is in use; it will be unloaded when it no longer is`,
        );
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
      const now = await afterwards(what, () => this.#loads(modelId));
      left = new Map([...loads].filter(([load]) => now.has(load)));
    }
    return [...loads.values()];
  }

  /** Loads of the model that are in memory, each told from the next one, with their GPUs. */
  async #loads(modelId: string): Promise<Map<string, number>> {
    const holders = holdersOf(await this.workers.now(), modelId);
    return new Map(holders.map(({ workerId, loadedAtMs, gpuId }) => [`${workerId} ${loadedAtMs}`, gpuId]));
  }
}

const NO_PICTURES =
  'it is a network without pictures (background_dir and crop_rects_path are not set), so it only gives mouths, to InferBatch with visual_frames';

/** Why the first GPU worker cannot use the model, when none can; else nothing. */
function problemsEverywhere(heartbeats: readonly Heartbeat[], modelId: string): readonly string[] {
  const workers = heartbeats.filter(({ gpuId }) => gpuId !== null);
  const problemsOn = ({ models }: Heartbeat) => models.find((state) => state.modelId === modelId)?.problems ?? [];
  const [first] = workers;
  return first && workers.every((worker) => problemsOn(worker).length > 0) ? problemsOn(first) : [];
}

/** True for a worker that takes work and does not know of the model. */
function isNewTo(worker: Heartbeat | undefined, modelId: string): boolean {
  return worker?.draining === false && !worker.models.some((model) => model.modelId === modelId);
}

/** Of a network, from an address. */
const FETCHED_WITHIN_MS = 10_000;
const UNLOAD_PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 50;

function unusable(modelId: string, problems: readonly string[]): FarmError {
  return new FarmError('model_unusable', `Model "${modelId}" cannot be used: ${problems.join('; ')}`);
}
