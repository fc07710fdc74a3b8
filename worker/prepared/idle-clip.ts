/** An avatar's idle clip, and what frames look like that show it: alone, or mixed with the picture that speaks. */

import { IDLE_WHOLE, type IdleMoment } from '../../shared/sound/idle-track.ts';
import { cutArea } from '../compositor/area-layout.ts';
import type { FrameCompositor, PreparedPicture } from '../compositor/contract.ts';
import { PlaneConverter } from '../compositor/plane-converter.ts';
import { alphaBytes, planeLayout } from '../compositor/planes.ts';
import { putBehind } from '../compositor/put-behind.ts';
import type { AvatarPictures, RgbImage } from '../pipeline/contract.ts';
import type { PictureKeys } from './picture-keys.ts';
import type { PreparedPictures } from './prepared-pictures.ts';

/** Pictures in their prepared forms, and their pixels as the avatar's files have them. */
export interface ClipPictures {
  readonly prepared: PreparedPictures;
  /** Of picture `index`, the caller's own. */
  pixels(index: number): Promise<RgbImage>;
}

/** A picture that speaks and one of the clip, mixed. */
interface Mixture {
  readonly pixels: RgbImage;
  /** Laid out as the plane of Y is; of outputs that keep alpha. */
  readonly alpha: Uint8Array | undefined;
}

const OPAQUE = 255;

/**
 * Moments of the clip repeat without end. Whole ones are prepared pictures like any other. Mixtures are made when a frame
 * needs them, and kept with their frame only: they differ from one silence to the next.
 */
export class IdleClip {
  readonly #talk: ClipPictures;
  readonly #clip: ClipPictures;
  readonly #compositor: FrameCompositor;
  readonly #keepsAlpha: boolean;
  readonly #planes = new PlaneConverter();
  readonly #mixtures = new WeakMap<PreparedPicture, Mixture>();
  #withAlpha: Promise<IdleClip> | undefined;

  /** @param talk the avatar's own pictures. @param compositor of this thread. */
  constructor(talk: ClipPictures, clip: ClipPictures, compositor: FrameCompositor, keepsAlpha = false) {
    this.#talk = talk;
    this.#clip = clip;
    this.#compositor = compositor;
    this.#keepsAlpha = keepsAlpha;
  }

  /** Keys of its pictures. */
  get keys(): PictureKeys {
    return this.#clip.prepared.keys;
  }

  get cachedBytes(): number {
    return this.#clip.prepared.cachedBytes;
  }

  /** The same for outputs that keep alpha. */
  keepingAlpha(): Promise<IdleClip> {
    const without = async ({ prepared, pixels }: ClipPictures) => ({
      prepared: await prepared.withoutBackdrop(),
      pixels,
    });
    this.#withAlpha ??= Promise.all([without(this.#talk), without(this.#clip)]).then(
      ([talk, clip]) => new IdleClip(talk, clip, this.#compositor, true),
    );
    return this.#withAlpha;
  }

  /** What a frame is put together from that shows this moment, and else picture `index` of the avatar. */
  async picture(index: number, moment: IdleMoment): Promise<PreparedPicture> {
    const place = this.#placeOf(moment);
    if (moment.amount === IDLE_WHOLE) return await this.#clip.prepared.picture(place);
    const own = await this.#talk.prepared.picture(index);
    const [mine, theirs] = await Promise.all([pixelsOf(this.#talk, index), pixelsOf(this.#clip, place)]);
    const { shares, alpha } = await this.#sharesOf(index, moment);
    const { picture, weights } = putBehind(mine, shares, theirs, own.rect, own.weights);
    const mixed = {
      ...{ ...own, ...this.#encoded(picture, own), weights: weights && shared(weights) },
      area: shared(cutArea(picture, own.rect, weights !== undefined)),
    };
    this.#mixtures.set(mixed, { pixels: picture, alpha });
    return mixed;
  }

  /** The planes of such a picture. @param into laid out as `planeLayout` says. */
  async planes(picture: PreparedPicture, moment: IdleMoment, into: Uint8Array): Promise<void> {
    const mixture = this.#mixtures.get(picture);
    if (mixture) this.#planes.convertArea(mixture.pixels, { x1: 0, y1: 0 }, picture, into);
    else await this.#clip.prepared.planes(this.#placeOf(moment), into);
  }

  /** Its alpha. @param into laid out as the plane of Y is. */
  async alpha(picture: PreparedPicture, moment: IdleMoment, into: Uint8Array): Promise<void> {
    const mixture = this.#mixtures.get(picture);
    if (mixture?.alpha) into.set(mixture.alpha);
    else await this.#clip.prepared.alpha(this.#placeOf(moment), into);
  }

  /** Its pixels, without a mouth. */
  async pixels(picture: PreparedPicture, moment: IdleMoment): Promise<RgbImage> {
    return this.#mixtures.get(picture)?.pixels ?? (await pixelsOf(this.#clip, this.#placeOf(moment)));
  }

  #placeOf({ place }: IdleMoment): number {
    return place % this.#clip.prepared.frameCount;
  }

  /** The parts of a prepared picture that its pixels decide, in memory that other threads see. */
  #encoded(picture: RgbImage, { rect, quality }: PreparedPicture) {
    const { jpeg, rows } = this.#compositor.encodeBackground(picture, rect, quality);
    const places = new Int32Array(new SharedArrayBuffer(rows.byteLength));
    places.set(rows);
    return { jpeg: shared(jpeg), rows: places };
  }

  /** How much of each pixel is the avatar's own picture, of 255; with alpha, what is more opaque counts for more. */
  async #sharesOf(index: number, moment: IdleMoment) {
    const size = this.#talk.prepared;
    const left = IDLE_WHOLE - moment.amount;
    const shares = new Uint8Array(size.width * size.height);
    if (!this.#keepsAlpha) return { shares: shares.fill(Math.round((OPAQUE * left) / IDLE_WHOLE)), alpha: undefined };
    const [mine, theirs] = [new Uint8Array(alphaBytes(size)), new Uint8Array(alphaBytes(size))];
    await this.#talk.prepared.alpha(index, mine);
    await this.#clip.prepared.alpha(this.#placeOf(moment), theirs);
    const { width } = planeLayout(size);
    for (let pixel = 0; pixel < shares.length; pixel++) {
      const at = Math.floor(pixel / size.width) * width + (pixel % size.width);
      const ofMine = left * (mine[at] as number);
      const whole = ofMine + moment.amount * (theirs[at] as number);
      shares[pixel] = whole === 0 ? OPAQUE : Math.round((OPAQUE * ofMine) / whole);
      mine[at] = Math.round(whole / IDLE_WHOLE);
    }
    return { shares, alpha: mine };
  }
}

/** An avatar's pictures, which show its idle clip where it has one. */
export function withIdleClip(
  pictures: AvatarPictures<PreparedPicture>,
  idle: IdleClip | undefined,
): AvatarPictures<PreparedPicture> {
  if (!idle) return pictures;
  return {
    frameCount: pictures.frameCount,
    hasHiddenFaces: pictures.hasHiddenFaces,
    picture: (index) => pictures.picture(index),
    idlePicture: (index, moment) => idle.picture(index, moment),
    face: (index, into) => pictures.face(index, into),
    hiddenFace: (index, into) => pictures.hiddenFace(index, into),
  };
}

/** Pixels as they are seen in front of the backdrop, if there is one. */
async function pixelsOf({ prepared, pixels }: ClipPictures, index: number): Promise<RgbImage> {
  return prepared.hasBackdrop ? await prepared.inFront(index) : await pixels(index);
}

function shared(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}
