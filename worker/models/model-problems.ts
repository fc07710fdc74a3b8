import type { ModelConfig } from '../../shared/config/model-config.ts';
import { hearingOfModel } from '../../shared/config/model-hearing.ts';
import { requireFile } from '../../shared/files/regular-file.ts';
import { checkAvatarFiles } from '../avatar/avatar.ts';

/**
 * Finds everything that is wrong with a model, as far as its entry and its files show it without loading it. Workers,
 * `farm doctor` and the import of an avatar all use this check.
 * @returns sentences that name the key or the path; none when nothing was found.
 */
export async function findProblems(model: ModelConfig): Promise<readonly string[]> {
  if (model.problems.length > 0) return model.problems;
  const networks = [
    unreadable('network', model.modelPath),
    unreadable('audio encoder', model.audioEncoderPath),
    unheard(model),
  ];
  return [...(await Promise.all(networks)).flat(), ...(await checkAvatarFiles(model))];
}

async function unreadable(what: string, file: string): Promise<string[]> {
  return await requireFile(file).then(
    () => [],
    ({ message }: Error) => [`the ${what} cannot be read: ${message}`],
  );
}

/** Of a network that takes no features that are known. */
async function unheard(model: ModelConfig): Promise<string[]> {
  return await hearingOfModel(model).then(
    () => [],
    ({ message }: Error) => [message],
  );
}
