import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config/load.ts';
import type { ModelConfig } from '../config/model-config.ts';
import { FarmError } from '../errors/farm-error.ts';
import { ignored } from '../process/unheard.ts';
import { GB, MB } from '../units.ts';
import type { RemoteFile } from './address.ts';
import { ModelFiles, type Progress } from './model-files.ts';

/** What is needed of a logger here. */
interface FetchLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** The whole model, the network alone, which says what it hears, or what its pictures are. */
export type Part = 'all' | 'network' | 'pictures';
const KEYS: Readonly<Record<Exclude<Part, 'all'>, readonly string[]>> = {
  network: ['model_path'],
  pictures: ['background_dir', 'source_video', 'crop_rects_path', 'background', 'masks_dir'],
};

export interface ReadyOptions {
  readonly part?: Part;
  readonly signal?: AbortSignal | undefined;
  /** How long the caller can wait; the fetch goes on. */
  readonly waitMs?: number | undefined;
  /** Asks servers whether what is here is still the same. */
  readonly asksAgain?: boolean;
}

/** Of a model whose files are not here. */
export interface FetchState extends Progress {
  /** Why the last try failed. */
  readonly fault?: string;
}

interface Flight {
  readonly done: Promise<boolean>;
  readonly progress: { bytes: number; total: number };
}

/** For so long after a fetch that failed for good, the model has the reason among its problems. */
const SAID_FOR_MS = 30_000;
/** Files that were seen within this time are taken to be here. */
const SEEN_LATELY_MS = 10_000;

/** `models_from` of the configuration, as the fetches take it. */
export function modelFilesOf({ models_from, modelCacheDir, storage }: Config): ModelFiles {
  const { hosts, buckets, networks, cache_gb } = models_from;
  const { endpoint, region, path_style } = storage.s3;
  return new ModelFiles({
    ...{ hosts, buckets, networks, cacheDir: modelCacheDir, maxBytes: cache_gb * GB },
    server: { endpoint, region, path_style },
  });
}

/**
 * The models of a process whose files lie at addresses: fetched when they are needed, each once at a time. Of models
 * whose files all lie on this host it knows nothing.
 */
export class HostModels {
  readonly #files: ModelFiles;
  readonly #log: FetchLog;
  readonly #end = new AbortController();
  /** By the places of the files. */
  readonly #flights = new Map<string, Flight>();
  /** Models with files that are not here, as last seen; what is under way says how far it is. */
  readonly #missing = new Map<string, Progress>();
  /** When the files were last seen here, by their places. */
  readonly #seenAtMs = new Map<string, number>();
  readonly #faults = new Map<string, { readonly fault: FarmError; readonly atMs: number }>();
  readonly #onChange: () => void;

  /** @param onChange told when what is missing, or why, has changed. */
  constructor(config: Config, log: FetchLog, onChange: () => void = () => {}) {
    this.#files = modelFilesOf(config);
    this.#log = log;
    this.#onChange = onChange;
  }

  /** How far the fetch of a model is; undefined when its files are here. As `look` and `ready` last saw it. */
  progressOf(modelId: string): FetchState | undefined {
    const progress = this.#missing.get(modelId);
    const fault = this.#faults.get(modelId)?.fault.message;
    return progress && { ...progress, ...(fault ? { fault } : {}) };
  }

  /** Why its files cannot be fetched; empty when nothing is known against it, or while a server is away. */
  problemsOf(modelId: string): string[] {
    const known = this.#faults.get(modelId);
    if (known === undefined || known.fault.isOfTheFarm || performance.now() - known.atMs > SAID_FOR_MS) return [];
    return [`${known.fault.code}: ${known.fault.message}`];
  }

  /** Sees whether a model's files are here. */
  async look({ modelId, remote }: ModelConfig): Promise<boolean> {
    const isHere = await this.#files.areHere(remote);
    if (isHere) this.#missing.delete(modelId);
    else if (!this.#missing.has(modelId)) this.#missing.set(modelId, { bytes: 0, total: undefined });
    return isHere;
  }

  /** Marks a model's files as used: they stay in the cache. */
  async touch({ remote }: ModelConfig): Promise<void> {
    await this.#files.touch(remote);
  }

  /**
   * Has a model's files on this host.
   * @returns whether any of those that were here before are others now.
   * @throws FarmError as `ModelFiles.ensure`; `deadline_exceeded` after `waitMs`; the reason of `signal`.
   */
  async ready(
    model: ModelConfig,
    { part = 'all', signal, waitMs, asksAgain = false }: ReadyOptions = {},
  ): Promise<boolean> {
    const files = part === 'all' ? model.remote : model.remote.filter(({ key }) => KEYS[part].includes(key));
    if (files.length === 0) return false;
    const key = keyOf(files);
    if (!asksAgain && performance.now() - (this.#seenAtMs.get(key) ?? -Infinity) < SEEN_LATELY_MS) return false;
    if (!asksAgain && (await this.#files.areHere(files))) {
      await this.#files.touch(files);
      this.#seenAtMs.set(key, performance.now());
      return false;
    }
    const { done } = this.#join(model, files, asksAgain);
    const given = AbortSignal.any([this.#end.signal, ...(signal ? [signal] : [])]);
    const late = new AbortController();
    try {
      return await Promise.race([done, ended(given, late.signal), this.#tooLate(model.modelId, waitMs, late.signal)]);
    } finally {
      late.abort();
    }
  }

  /** Ends what is under way; a later process goes on with it. */
  stop(): void {
    this.#end.abort(new FarmError('farm_draining', 'The process ends'));
  }

  #join(model: ModelConfig, files: readonly RemoteFile[], asksAgain: boolean): Flight {
    const key = keyOf(files);
    const known = this.#flights.get(key);
    if (known) return known;
    const progress = { bytes: 0, total: 0 };
    const done = this.#fetch(model, files, asksAgain, progress).finally(() => this.#flights.delete(key));
    done.catch(ignored('whoever waits for it is told'));
    const flight = { done, progress };
    this.#flights.set(key, flight);
    return flight;
  }

  async #fetch(
    { modelId, remote }: ModelConfig,
    files: readonly RemoteFile[],
    asksAgain: boolean,
    progress: { bytes: number; total: number },
  ): Promise<boolean> {
    const startedAtMs = performance.now();
    if (!(await this.#files.areHere(files))) this.#missing.set(modelId, { bytes: 0, total: undefined });
    try {
      const changed = await this.#files.ensure(files, {
        signal: this.#end.signal,
        asksAgain,
        onProgress: (came, expected) => {
          progress.bytes += came;
          progress.total += expected;
          if (this.#missing.has(modelId)) this.#missing.set(modelId, { ...progress });
        },
        onStale: ({ message }) =>
          this.#log.warn(
            { model: modelId, reason: message },
            'what is here of the model is used: nobody could be asked',
          ),
      });
      this.#faults.delete(modelId);
      if (files.length === remote.length) this.#missing.delete(modelId);
      if (progress.bytes > 0) this.#told(modelId, progress.bytes, startedAtMs);
      return changed;
    } catch (error) {
      if (this.#end.signal.aborted) throw error;
      const fault = FarmError.from(error);
      this.#faults.set(modelId, { fault, atMs: performance.now() });
      this.#log.warn(
        { model: modelId, code: fault.code, reason: fault.message },
        'files of the model could not be fetched',
      );
      throw fault;
    } finally {
      this.#onChange();
    }
  }

  #told(modelId: string, bytes: number, startedAtMs: number): void {
    const seconds = Math.round((performance.now() - startedAtMs) / 100) / 10;
    this.#log.info({ model: modelId, mb: Math.round((10 * bytes) / MB) / 10, seconds }, 'files of the model fetched');
  }

  async #tooLate(modelId: string, waitMs: number | undefined, signal: AbortSignal): Promise<never> {
    if (waitMs === undefined) return await new Promise<never>(() => {});
    await delay(waitMs, undefined, { signal, ref: false }).catch(ignored('the files came in time'));
    const { bytes = 0, total } = this.#missing.get(modelId) ?? {};
    const [came, all] = [bytes, total].map((size) => (size === undefined ? '?' : Math.round(size / MB)));
    const message = `The files of model "${modelId}" are on their way to this host: ${came} of ${all} MB`;
    throw new FarmError('deadline_exceeded', message);
  }
}

const keyOf = (files: readonly RemoteFile[]) => files.map(({ path }) => path).join('\n');

/** Rejects with the reason of a signal. @param over ends the waiting for it. */
async function ended(signal: AbortSignal, over: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  return await new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true, signal: over });
  });
}
