import type { ModelConfig } from '../../shared/config/model-config.ts';
import type { ConfigReload } from '../../shared/config/reload.ts';
import { FarmError } from '../../shared/errors.ts';

export interface KnownModels {
  readonly models: ReadonlyMap<string, ModelConfig>;
  readonly configReload: Pick<ConfigReload, 'refresh'>;
}

/**
 * The configured model of this id. An unknown model may have just been added, and the process that sent the job may
 * have seen that first: so the configuration is read again before the job is refused.
 * @throws FarmError `model_unknown`, or `model_unusable` when its configuration shows that it cannot be used.
 */
export async function usableModel({ models, configReload }: KnownModels, modelId: string): Promise<ModelConfig> {
  if (!models.has(modelId)) await configReload.refresh();
  const model = models.get(modelId);
  if (!model) throw new FarmError('model_unknown', `This worker's configuration has no model "${modelId}"`);
  if (model.problems.length > 0) {
    throw new FarmError('model_unusable', `Model ${modelId} cannot be used here: ${model.problems.join('; ')}`);
  }
  return model;
}
