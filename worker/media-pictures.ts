import type { ArtifactStore } from '../shared/artifacts.ts';
import type { Config } from '../shared/config/load.ts';
import { entryVersion } from '../shared/config/model-config.ts';
import type { Logger } from '../shared/process/log.ts';
import { type Repeated, repeat } from '../shared/process/repeat.ts';
import { writeSmallPictures } from './avatar/small-pictures.ts';

const LOOK_EVERY_MS = 5000;

/** Has small pictures of every avatar in the store, of new ones soon after they were configured. */
export function keepAvatarPictures(
  config: Pick<Config, 'models'>,
  { artifacts, log }: { readonly artifacts: ArtifactStore; readonly log: Logger },
): Repeated {
  /** Model → version of its entry that was dealt with. */
  const seen = new Map<string, string>();
  const look = async () => {
    for (const model of [...config.models.values()]) {
      const { modelId, problems } = model;
      const version = entryVersion(model);
      if (problems.length > 0 || seen.get(modelId) === version) continue;
      const isDone = await writeSmallPictures(model, artifacts).catch((error: Error) => {
        // What is wrong with the avatar, its GPU workers say to whoever asks for models.
        log.warn({ model: modelId, reason: error.message }, 'no pictures of the avatar for the studio');
        return true;
      });
      if (isDone) seen.set(modelId, version);
    }
  };
  return repeat(look, { name: 'make pictures of avatars', everyMs: LOOK_EVERY_MS, log, first: 'now' });
}
