import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { FarmError } from '../errors/farm-error.ts';
import type { Logger } from '../process/log.ts';
import { type Repeated, repeat } from '../process/repeat.ts';
import { unexpected } from '../process/unheard.ts';
import { type Config, loadConfig } from './load.ts';
import type { ModelConfig } from './model-config.ts';

/** How a reload changed `models:`. */
export interface ModelChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/**
 * How often the file is checked for changes. Polling, unlike waiting for notifications, notices every way to replace a
 * file: written over, renamed into place, behind a symbolic link, on a network drive.
 */
const LOOK_EVERY_MS = 500;

/**
 * Keeps the models and the API keys of a running process up to date with its configuration file. It reads the file on SIGHUP, and once
 * two checks in a row have found the same change, so that no half-written file is read. Changes of other keys need a
 * restart and are named in the log. An invalid file changes nothing.
 */
export class ConfigReload {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #listeners = new Set<(changes: ModelChanges) => void>();
  readonly #looking: Repeated;
  readonly #onHangUp = () => {
    this.#version()
      .then((version) => this.#reload(version))
      .catch(unexpected);
  };
  /** Version of the file that was read last, taken just before reading it. */
  #read: Promise<string>;
  #seen = '';

  /** @param config its `models` and `auth.keys` are updated in place, since many modules hold it. */
  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#read = this.#version();
    this.#looking = repeat(() => this.#look(), {
      ...{ name: 'look at the configuration', everyMs: LOOK_EVERY_MS, log, keepsProcessAlive: false },
    });
    process.on('SIGHUP', this.#onHangUp);
  }

  /** Calls `listener` after every reload, also when no entry has changed: the models' own files may have. */
  onReload(listener: (changes: ModelChanges) => void): void {
    this.#listeners.add(listener);
  }

  /** Reads the file now if it has changed since the last read: for a request with a model that is unknown here. */
  async refresh(): Promise<void> {
    const version = await this.#version();
    if (version !== (await this.#read)) this.#reload(version);
  }

  stop(): void {
    this.#looking.stop().catch(unexpected);
    process.off('SIGHUP', this.#onHangUp);
  }

  async #look(): Promise<void> {
    const version = await this.#version();
    const settled = version === this.#seen;
    this.#seen = version;
    if (settled && version !== (await this.#read)) this.#reload(version);
  }

  /** Size, times and identity of the file; the empty string while there is none. */
  async #version(): Promise<string> {
    const { sourcePath } = this.#config;
    if (sourcePath === undefined) return '';
    try {
      const { size, mtimeMs, ctimeMs, ino } = await stat(sourcePath);
      return [size, mtimeMs, ctimeMs, ino].join('|');
    } catch {
      return ''; // Gone or not readable; reading it says why.
    }
  }

  #reload(version: string): void {
    this.#read = Promise.resolve(version);
    let found: Config;
    try {
      found = loadConfig(this.#config.sourcePath);
    } catch (error) {
      this.#log.error({ reason: FarmError.from(error).message }, 'configuration not reloaded; the old one stays');
      return;
    }
    const changes = replaceModels(this.#config.models, found.models);
    // Nobody else writes it.
    Object.assign(this.#config.auth, { keys: found.auth.keys });
    const waiting = changedKeys(this.#config, found);
    if (waiting.length > 0) this.#log.warn({ keys: waiting }, 'changed in the configuration, and needs a restart');
    this.#log.info(changes, 'configuration reloaded');
    for (const listener of this.#listeners) listener(changes);
  }
}

/** Makes `current` equal to `next`, in place and in the same order. */
function replaceModels(current: Config['models'], next: Config['models']): ModelChanges {
  const changes = {
    added: [...next.keys()].filter((modelId) => !current.has(modelId)),
    changed: [...next].flatMap(([modelId, model]) => {
      const known = current.get(modelId);
      return known && !isDeepStrictEqual(known, model) ? [modelId] : [];
    }),
    removed: [...current.keys()].filter((modelId) => !next.has(modelId)),
  };
  // All modules read this one map, and only this function writes it.
  const models = current as Map<string, ModelConfig>;
  models.clear();
  for (const [modelId, model] of next) models.set(modelId, model);
  return changes;
}

/** Dotted names of the keys whose values differ, apart from those that are in force at once: of models and of API keys. */
function changedKeys(before: Config, after: Config): string[] {
  return differences(plain(before), plain(after));
}

function plain({ models: _, auth, onnx: { audio_encoder_path: __, ...onnx }, ...rest }: Config): object {
  return { ...rest, auth: { ...auth, keys: [] }, onnx };
}

function differences(before: object, after: object, prefix = ''): string[] {
  const [old, young] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
  return [...new Set([...old.keys(), ...young.keys()])].flatMap((key) => {
    const [a, b]: unknown[] = [old.get(key), young.get(key)];
    if (isDeepStrictEqual(a, b)) return [];
    return isSection(a) && isSection(b) ? differences(a, b, `${prefix}${key}.`) : [`${prefix}${key}`];
  });
}

function isSection(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
