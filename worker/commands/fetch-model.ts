import type { Config } from '../../shared/config/load.ts';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { modelFilesOf } from '../../shared/model-files/host-models.ts';

/**
 * Has the files of a model that lie at addresses on this host, as a worker would; of others nothing is done.
 * @throws FarmError as `ModelFiles.ensure`; the reason of `signal`.
 */
export async function fetchModel(model: ModelConfig, config: Config, signal: AbortSignal): Promise<void> {
  if (model.problems.length > 0 || model.remote.length === 0) return;
  await modelFilesOf(config).ensure(model.remote, { signal, asksAgain: true });
}
