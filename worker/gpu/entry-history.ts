import type { Config } from '../../shared/config/load.ts';
import { entryVersion, type ModelConfig } from '../../shared/config/model-config.ts';
import type { ConfigReload } from '../../shared/config/reload.ts';

/**
 * Earlier entries that are remembered of each model; a render that is older than so many changes gets the current one.
 */
const VERSIONS_KEPT = 8;

/**
 * The entries that a model has had since this process started, by version: a render finishes with the entry that it
 * was planned with. Each has a key under which the registry knows it: the id for the current one.
 */
export class EntryHistory {
  readonly #config: Config;
  readonly #reload: Pick<ConfigReload, 'refresh'>;
  /** By id, then by version, oldest first. */
  readonly #entries = new Map<string, Map<string, ModelConfig>>();

  constructor(config: Config, reload: Pick<ConfigReload, 'refresh'>) {
    this.#config = config;
    this.#reload = reload;
    this.note();
  }

  /** Remembers the current entries; called after the configuration has changed. A model that is gone is forgotten. */
  note(): void {
    for (const modelId of this.#entries.keys()) if (!this.#config.models.has(modelId)) this.#entries.delete(modelId);
    for (const model of this.#config.models.values()) {
      if (model.problems.length > 0) continue;
      const versions = this.#entries.get(model.modelId) ?? new Map<string, ModelConfig>();
      const version = entryVersion(model);
      versions.delete(version);
      versions.set(version, model);
      for (const oldest of versions.keys()) {
        if (versions.size <= VERSIONS_KEPT) break;
        versions.delete(oldest);
      }
      this.#entries.set(model.modelId, versions);
    }
  }

  /** All entries for the registry, each under its key and with that for an id. */
  all(): Map<string, ModelConfig> {
    const found = new Map<string, ModelConfig>();
    for (const [id, versions] of this.#entries) {
      for (const [version, model] of versions) {
        const modelId = this.#key(id, version);
        found.set(modelId, { ...model, modelId });
      }
    }
    return found;
  }

  /**
   * The key of the entry that a render was planned with; of the current one when that is not known here.
   * @param version absent in plans of older farms.
   */
  async keyOf(modelId: string, version: string | undefined): Promise<string> {
    if (version === undefined) return modelId;
    // The media worker that planned the render may have seen a change of the file before this process.
    if (!this.#entries.get(modelId)?.has(version)) await this.#reload.refresh();
    return this.#entries.get(modelId)?.has(version) ? this.#key(modelId, version) : modelId;
  }

  #key(modelId: string, version: string): string {
    const current = this.#config.models.get(modelId);
    return current && entryVersion(current) === version ? modelId : `${modelId}@${version}`;
  }
}
