/** A model whose mouths go into a render's own footage: the networks are the model's, the pictures are the render's. */

import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { openAvatar } from '../avatar/avatar.ts';
import { SilentMouths } from '../pipeline/silent-mouths.ts';
import { PreparedAvatars } from '../prepared/prepared-avatars.ts';
import type { LoadedModel } from './loaded-model.ts';

/** Each picture is shown once, as a rule, so none is kept in memory. */
const CACHED_FRAMES = 1;

export type FootageModel = Pick<
  LoadedModel,
  'modelId' | 'network' | 'encoder' | 'avatar' | 'prepared' | 'silentMouths' | 'provider' | 'files' | 'content'
> &
  AsyncDisposable;

/**
 * Opens the footage of a render, whose pictures are prepared as they are needed, in the render's own folder. Dispose of
 * it before the model's use ends.
 * @throws FarmError `model_unusable` when the pictures cannot be used.
 */
export async function openFootage(
  model: LoadedModel,
  artifacts: Pick<ArtifactStore, 'checkOut'>,
  renderId: string,
): Promise<FootageModel> {
  const { modelId, network, encoder, provider, files, content } = model;
  const rects = artifactKeys.footageRects(renderId);
  const local = await artifacts.checkOut([rects], { folders: [artifactKeys.footagePictures(renderId)] });
  const place = (keyOf: (renderId: string) => string) => local.path(keyOf(renderId));
  const avatar = await openAvatar({
    ...model.entry,
    backgroundDir: place(artifactKeys.footagePictures),
    cropRectsPath: place(artifactKeys.footageRects),
    ...{ sourceVideo: '', cropsDir: '', cropsVideo: '', roisDir: '', roisVideo: '', masksDir: '' },
    frameLimit: undefined,
  });
  const { quality } = model.prepared;
  const settings = { folder: place(artifactKeys.footagePrepared), quality, processes: 0, keepsPlanes: false };
  const { pictures, release } = await new PreparedAvatars(settings, CACHED_FRAMES).open(modelId, avatar, network.size);
  return {
    ...{ modelId, network, encoder, provider, files, content, avatar, prepared: pictures },
    silentMouths: new SilentMouths({ network, encoder, pictures }),
    async [Symbol.asyncDispose]() {
      await release();
      await local[Symbol.asyncDispose]();
    },
  };
}
