import type { ArtifactStore } from '../shared/artifacts/store.ts';
import type { Config } from '../shared/config/load.ts';
import { entryVersion } from '../shared/config/model-config.ts';
import { HostModels } from '../shared/model-files/host-models.ts';
import type { Logger } from '../shared/process/log.ts';
import { type Repeated, repeat } from '../shared/process/repeat.ts';
import { MINUTE_MS } from '../shared/units.ts';
import { removeUnusedSmallPictures, touchSmallPictures, writeSmallPictures } from './avatar/small-pictures.ts';

const LOOK_EVERY_MS = 5000;
/** Pictures whose entry has stayed are looked at for changes as often. */
const LOOK_AT_FILES_EVERY_MS = MINUTE_MS;

interface Tools {
  readonly artifacts: ArtifactStore;
  readonly log: Logger;
}

interface Seen {
  /** Version of the entry that was dealt with. */
  readonly version: string;
  readonly atMs: number;
}

/**
 * Has small pictures of every avatar in the store: of new ones soon after they were configured, of changed ones within a
 * minute. Those of avatars that no media worker knows any more go away.
 */
export function keepAvatarPictures(config: Config, { artifacts, log }: Tools): Repeated {
  const files = new HostModels(config, log);
  const seen = new Map<string, Seen>();
  let tidiedAtMs = performance.now();
  const look = async () => {
    for (const model of [...config.models.values()]) {
      const { modelId, problems } = model;
      const version = entryVersion(model);
      const last = seen.get(modelId);
      const isFresh = last?.version === version && performance.now() - last.atMs < LOOK_AT_FILES_EVERY_MS;
      if (problems.length > 0 || isFresh) continue;
      const write = async () => {
        await files.ready(model, { part: 'pictures' });
        return await writeSmallPictures(model, artifacts);
      };
      const isDone = await write().catch((error: Error) => {
        // What is wrong with the avatar, its GPU workers say to whoever asks for models.
        if (last?.version !== version)
          log.warn({ model: modelId, reason: error.message }, 'no pictures of the avatar for the studio');
        return true;
      });
      if (isDone) seen.set(modelId, { version, atMs: performance.now() });
    }
    if (performance.now() - tidiedAtMs < LOOK_AT_FILES_EVERY_MS) return;
    await touchSmallPictures([...config.models.keys()], artifacts);
    await removeUnusedSmallPictures(artifacts);
    tidiedAtMs = performance.now();
  };
  const looking = repeat(look, { name: 'make pictures of avatars', everyMs: LOOK_EVERY_MS, log, first: 'now' });
  const stop = async () => {
    files.stop();
    await looking.stop();
  };
  return { ...looking, stop };
}
