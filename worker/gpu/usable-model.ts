import type { ModelConfig } from '../../shared/config/model-config.ts';
import type { ConfigReload } from '../../shared/config/reload.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { OwnHost } from '../own-host.ts';

export interface KnownModels {
  readonly models: ReadonlyMap<string, ModelConfig>;
  readonly configReload: Pick<ConfigReload, 'refresh'>;
  readonly host: Pick<OwnHost, 'lacks'>;
}

/**
 * The configured model of this id. An unknown model may have just been added, and the process that sent the job may
 * have seen that first: so the configuration is read again before the job is refused.
 * @throws FarmError `model_unknown`; `model_unusable` when its configuration shows that it cannot be used; `no_worker`
 * when it needs a host with other tags.
 */
export async function usableModel({ models, configReload, host }: KnownModels, modelId: string): Promise<ModelConfig> {
  if (!models.has(modelId)) await configReload.refresh();
  const model = models.get(modelId);
  if (!model) throw new FarmError('model_unknown', `This worker's configuration has no model "${modelId}"`);
  if (model.problems.length > 0) {
    throw new FarmError('model_unusable', `Model ${modelId} cannot be used here: ${model.problems.join('; ')}`);
  }
  const lacks = host.lacks(model.needs);
  if (lacks.length > 0) {
    throw new FarmError(
      'no_worker',
      `"${modelId}" needs a host with the tags ${lacks.join(', ')}, which this one lacks`,
    );
  }
  return model;
}
