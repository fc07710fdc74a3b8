import { type AvatarPictures, avatarPictureKeys, avatarPicturesSchema } from '../shared/artifacts/avatar-pictures.ts';
import type { ArtifactStore } from '../shared/artifacts/store.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { AvatarPicturesView } from '../shared/views/models-view.ts';
import type { Models } from './models.ts';

/** The small pictures of avatars, which media workers write into the store. */
export class AvatarPictureService {
  readonly #artifacts: ArtifactStore;
  readonly #models: Pick<Models, 'requireKnown'>;

  constructor(artifacts: ArtifactStore, models: Pick<Models, 'requireKnown'>) {
    this.#artifacts = artifacts;
    this.#models = models;
  }

  /** FarmError: model_unknown, avatar_picture_unknown. */
  async list(modelId: string): Promise<AvatarPicturesView> {
    const { version, pictures, ...rest } = await this.#list(modelId);
    const path = `/v1/models/${encodeURIComponent(modelId)}/pictures`;
    return {
      model_id: modelId,
      ...rest,
      pictures: pictures.map(({ index, rect }) => ({ index, rect, link: `${path}/${index}?version=${version}` })),
    };
  }

  /**
   * One of the pictures that are listed, as JPEG, with a tag of its version.
   * @param index of the avatar's own picture; undefined for the first.
   * @throws FarmError model_unknown, avatar_picture_unknown.
   */
  async picture(modelId: string, index?: number): Promise<{ jpeg: Buffer; tag: string }> {
    const { version, pictures } = await this.#list(modelId);
    const wanted = index ?? pictures[0]?.index ?? 0;
    const isListed = pictures.some((picture) => picture.index === wanted);
    const jpeg = isListed ? await this.#read(avatarPictureKeys.picture(modelId, version, wanted)) : undefined;
    if (!jpeg) throw notThere(modelId, `no small picture ${wanted}`);
    return { jpeg, tag: `"${version}-${wanted}"` };
  }

  async #list(modelId: string): Promise<AvatarPictures> {
    await this.#models.requireKnown(modelId);
    const text = await this.#read(avatarPictureKeys.list(modelId));
    const list = avatarPicturesSchema.safeParse(text && JSON.parse(text.toString()));
    if (!list.success) throw notThere(modelId, 'no small pictures yet');
    return list.data;
  }

  async #read(key: string): Promise<Buffer | undefined> {
    return await this.#artifacts.contents(key);
  }
}

function notThere(modelId: string, what: string): FarmError {
  return new FarmError('avatar_picture_unknown', `The avatar of model "${modelId}" has ${what}`);
}
