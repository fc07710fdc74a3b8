import type { AvatarPictures } from '../pipeline/contract.ts';

/** An avatar's faces without its pictures, for mouths that go into none. */
export class FacesOnly implements AvatarPictures<undefined> {
  readonly frameCount: number;
  readonly #pictures: AvatarPictures<unknown>;

  /** @param areGiven the request brings its own faces: the avatar need have none. */
  constructor(pictures: AvatarPictures<unknown>, areGiven: boolean) {
    this.#pictures = pictures;
    this.frameCount = areGiven ? 1 : pictures.frameCount;
  }

  get hasHiddenFaces(): boolean {
    return this.#pictures.hasHiddenFaces;
  }

  async picture(): Promise<undefined> {
    return undefined;
  }

  async face(index: number, into: Uint8Array): Promise<void> {
    await this.#pictures.face(index, into);
  }

  async hiddenFace(index: number, into: Uint8Array): Promise<void> {
    await this.#pictures.hiddenFace(index, into);
  }
}
