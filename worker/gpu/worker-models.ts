import type { Config } from '../../shared/config/load.ts';
import type { ModelChanges } from '../../shared/config/reload.ts';
import type { FetchState, HostModels } from '../../shared/model-files/host-models.ts';
import type { Logger } from '../../shared/process/log.ts';
import { type Repeated, repeat } from '../../shared/process/repeat.ts';
import { noteStartProgress } from '../../shared/process/supervised.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { GB, MINUTE_MS } from '../../shared/units.ts';
import type { Heartbeat, WorkerMemory } from '../../shared/workers/heartbeat.ts';
import type { PipelineThread } from '../engine/pipeline-thread.ts';
import type { ModelLimits } from '../models/model-limits.ts';
import { findProblems } from '../models/model-problems.ts';
import type { OwnHost } from '../own-host.ts';
import type { Blocklist } from '../queues/blocklist.ts';
import type { EntryHistory } from './entry-history.ts';
import type { ModelClaims } from './model-claims.ts';
import type { ModelUsage } from './model-usage.ts';

const NEVER = new AbortController().signal;
const START_GOES_ON_EVERY_MS = 10_000;

export interface WorkerModelsTools {
  readonly config: Config;
  readonly history: EntryHistory;
  readonly gpuId: number;
  readonly thread: PipelineThread;
  readonly usage: ModelUsage;
  readonly blocklist: Blocklist;
  readonly claims: ModelClaims;
  readonly files: HostModels;
  readonly host: Pick<OwnHost, 'lacks'>;
  readonly log: Logger;
  /** Told when what the heartbeat says of models has changed. */
  readonly onChange: () => void;
}

/** The models of a GPU worker, as its main thread knows them: the configured ones, their problems, their state. */
export class WorkerModels {
  readonly #tools: WorkerModelsTools;
  #problems: ReadonlyMap<string, readonly string[]> = new Map();
  #reconfiguring = Promise.resolve();

  constructor(tools: WorkerModelsTools) {
    this.#tools = tools;
  }

  /** For the heartbeat: every configured model. */
  states(): Heartbeat['models'] {
    const { config, host, thread, usage, blocklist, claims, files } = this.#tools;
    return [...this.#problems].map(([modelId, problems]) => ({
      modelId,
      loaded: thread.models.loaded.get(modelId) ?? null,
      lacks: host.lacks(config.models.get(modelId)?.needs ?? []),
      problems: [...problems, ...files.problemsOf(modelId), ...claims.problemsOf(modelId)],
      ...fetchingOf(files.progressOf(modelId)),
      cost: thread.models.costs.get(modelId) ?? null,
      blocked: blocklist.of(modelId),
      usage: usage.of(modelId),
    }));
  }

  /** For the heartbeat: the models' memory and its limit. */
  memory(): WorkerMemory {
    return {
      usedBytes: this.#tools.thread.models.memory.usedBytes,
      limitBytes: modelLimits(this.#tools.config).maxBytes,
      processBytes: process.memoryUsage.rss(),
    };
  }

  /** Finds what is wrong with each model, as far as its files show it without loading them, if they are here. */
  async check(): Promise<void> {
    const { config, log } = this.#tools;
    const found = new Map<string, readonly string[]>();
    for (const [modelId, model] of [...config.models]) {
      const isHere = await this.#tools.files.look(model);
      const problems = isHere ? await findProblems(model) : model.problems;
      found.set(modelId, problems);
      const known = this.#problems.get(modelId) ?? [];
      if (problems.length > 0 && problems.join() !== known.join()) {
        log.warn({ model: modelId, problems }, 'model cannot be used');
      }
    }
    this.#problems = found;
  }

  /**
   * Loads the models with `preload_model`, one after the other, up to `capacity.max_models`. When one cannot be loaded,
   * its first request gets the error.
   */
  async preload(modelIds: Iterable<string>): Promise<void> {
    // The pipeline thread has limits of its own for a load, and a start may preload many models.
    const goingOn = setInterval(noteStartProgress, START_GOES_ON_EVERY_MS);
    try {
      await this.#preload(modelIds);
    } finally {
      clearInterval(goingOn);
    }
  }

  async #preload(modelIds: Iterable<string>): Promise<void> {
    const { config, gpuId, host, thread, claims, log } = this.#tools;
    for (const modelId of modelIds) {
      const { preloadModel, needs = [], preferredGpu = gpuId } = config.models.get(modelId) ?? {};
      if (!preloadModel || preferredGpu !== gpuId || host.lacks(needs).length > 0) continue;
      if (thread.models.loaded.size >= config.capacity.max_models) {
        log.warn({ model: modelId }, 'model not preloaded: capacity.max_models are loaded');
        continue;
      }
      try {
        await claims.load({ modelId }, NEVER);
        log.info({ model: modelId }, 'model preloaded');
      } catch (error) {
        log.warn({ model: modelId, reason: (error as Error).message }, 'model could not be preloaded');
      }
    }
  }

  /**
   * Keeps the files of loaded models in the cache, and, where `models_from.prefetch` says so, fetches what is missing of
   * the others: now and once a minute, so that what fails is tried again.
   */
  startCare(): Repeated {
    return repeat(() => this.#care(), {
      ...{ name: 'look after models from addresses', everyMs: MINUTE_MS, log: this.#tools.log },
      ...{ first: 'now', keepsProcessAlive: false },
    });
  }

  async #care(): Promise<void> {
    const { config, files, thread } = this.#tools;
    for (const [modelId, model] of [...config.models]) {
      if (model.remote.length === 0) continue;
      if (thread.models.loaded.has(modelId)) await files.touch(model);
      else if (config.models_from.prefetch && model.problems.length === 0 && !(await files.look(model))) {
        await files.ready(model).catch(ignored('it was logged, and stands among the problems of the model'));
        await this.check();
        this.#tools.onChange();
      }
    }
  }

  /** Sees whether servers have other files of the models in memory by now, and has those loaded anew that they have. */
  async #askAgain(): Promise<void> {
    const { config, files, thread, history } = this.#tools;
    const loaded = [...thread.models.loaded.keys()].flatMap((modelId) => config.models.get(modelId) ?? []);
    let hasChanged = false;
    for (const model of loaded) {
      const changed = await files.ready(model, { asksAgain: true }).catch(ignored('it was logged', false));
      hasChanged ||= changed;
    }
    if (hasChanged) thread.configure(history.all());
  }

  /** Applies a reloaded configuration; several reloads are applied one after the other. */
  reconfigure({ added, changed }: ModelChanges): void {
    this.#tools.history.note();
    this.#tools.thread.configure(this.#tools.history.all());
    // The changed entry may work: the model gets another chance.
    for (const modelId of changed) this.#tools.blocklist.clear(modelId);
    const follow = async () => {
      await this.#askAgain();
      await this.check();
      this.#tools.onChange();
      await this.preload([...added, ...changed]);
    };
    this.#reconfiguring = this.#reconfiguring.then(follow).catch((error: Error) => {
      this.#tools.log.error({ reason: error.message }, 'models could not be checked');
    });
  }
}

/** For the heartbeat, of a model whose files are not here. */
function fetchingOf(progress: FetchState | undefined): Pick<Heartbeat['models'][number], 'fetching'> {
  if (!progress) return {};
  const { bytes, total = null, fault } = progress;
  return { fetching: { bytes, total, ...(fault ? { fault } : {}) } };
}

/** The smaller of the two memory limits applies: one is meant for the models, the other for the GPU. */
export function modelLimits({ capacity, gpus }: Config): ModelLimits {
  return {
    maxModels: capacity.max_models,
    maxBytes: Math.min(capacity.max_memory_gb, gpus.memory_gb_per_gpu) * GB,
    evictionPolicy: capacity.eviction_policy,
    idleTimeoutMs: capacity.idle_timeout_minutes * MINUTE_MS,
  };
}
