import type { AvatarFrames, AvatarPictures, GivenFace, NetworkSize, Rect, RgbImage } from './contract.ts';
import { checkBackground, checkFace, copyFace, cutCrop, fillCrop, makeCrop, mouthWeights } from './pipeline.ts';

/** What a frame is put together from, besides its mouth. */
export interface CutPicture {
  readonly background: RgbImage;
  readonly rect: Rect;
  /** (S+8)² */
  readonly crop: RgbImage;
  readonly face: GivenFace | undefined;
  /** Of the mouth in each pixel of the rect; all of it when absent. */
  readonly weights: Uint8Array | undefined;
}

/** An avatar's pictures and faces, cut out of its backgrounds as they are needed. */
export class CutPictures implements AvatarPictures<CutPicture> {
  readonly #avatar: AvatarFrames;
  readonly #size: NetworkSize;

  constructor(avatar: AvatarFrames, size: NetworkSize) {
    this.#avatar = avatar;
    this.#size = size;
  }

  get frameCount(): number {
    return this.#avatar.frameCount;
  }

  get hasHiddenFaces(): boolean {
    return this.#avatar.face !== undefined;
  }

  async picture(index: number): Promise<CutPicture> {
    const avatar = this.#avatar;
    const [background, face, mask] = await Promise.all([
      avatar.background(index),
      avatar.face?.(index),
      avatar.mask?.(index),
    ]);
    const rect = avatar.rect(index);
    checkBackground(background, rect, avatar, index);
    if (face) checkFace(face, this.#size, index);
    const crop = makeCrop(this.#size);
    fillCrop(crop, face?.crop, (whole) => cutCrop(background, rect, whole));
    const weights = mouthWeights(rect, this.#size, avatar.blend ?? 'none', mask);
    return { background, rect, crop, face, weights };
  }

  async face(index: number, into: Uint8Array): Promise<void> {
    copyFace((await this.picture(index)).crop, this.#size, into);
  }

  async hiddenFace(index: number, into: Uint8Array): Promise<void> {
    const { crop, face } = await this.picture(index);
    copyFace(face?.roi ?? crop, this.#size, into);
  }
}
