import type { ModelConfig } from '../../shared/config/model-paths.ts';
import { FarmError } from '../../shared/errors.ts';

/**
 * The configured model of this id.
 * @throws FarmError `model_unknown`, or `model_unusable` when its configuration shows that it cannot be used.
 */
export function usableModel(models: ReadonlyMap<string, ModelConfig>, modelId: string): ModelConfig {
  const model = models.get(modelId);
  if (!model) throw new FarmError('model_unknown', `This worker's configuration has no model "${modelId}"`);
  if (model.problems.length > 0) {
    throw new FarmError('model_unusable', `Model ${modelId} cannot be used here: ${model.problems.join('; ')}`);
  }
  return model;
}
