import { access, constants } from 'node:fs/promises';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { checkAvatarFiles } from '../avatar/avatar.ts';

/**
 * All that is wrong with a model as far as its entry and its files show it without loading it: what workers, `farm
 * doctor` and the import of an avatar judge by.
 * @returns sentences that name the key or the path; none when it can be loaded, as far as is seen here.
 */
export async function findProblems(model: ModelConfig): Promise<readonly string[]> {
  if (model.problems.length > 0) return model.problems;
  const networks = [unreadable('network', model.modelPath), unreadable('audio encoder', model.audioEncoderPath)];
  return [...(await Promise.all(networks)).flat(), ...(await checkAvatarFiles(model))];
}

async function unreadable(what: string, file: string): Promise<string[]> {
  return await access(file, constants.R_OK).then(
    () => [],
    ({ message }: Error) => [`the ${what} cannot be read: ${message}`],
  );
}
