/** An avatar's background pictures, kept coded within a bound and decoded when they are asked for. */

import type { Rect, RgbImage } from '../pipeline/contract.ts';
import { ByteCache } from './byte-cache.ts';
import { type CodedPicture, codedBytes, codedShareBytes, codePicture, decodeCoded } from './coded-picture.ts';
import { applyDelta, deltaFrom, type PictureDelta } from './picture-delta.ts';
import type { PictureSize } from './picture-file.ts';

/** Memory that a model's pictures may take in any case, unless their pixels take less. */
const LARGE_ENOUGH_BYTES = 135e6;

export interface BackgroundFramesOptions {
  /** Picture files by frame index. */
  readonly paths: readonly string[];
  /** The size that each must have, in pixels. */
  readonly size: PictureSize;
  /** Where the mouth is in picture `index`, inside the picture. */
  readonly rect: (index: number) => Rect;
  /** Pictures kept coded, ≥ 1. */
  readonly cachedFrames: number;
}

/**
 * Keeps three forms of a picture, each only in the memory that the one before leaves: its coded form; the crop that the
 * network sees, which is small and saves the resizing; and its pixels, as the difference from one base picture, which
 * saves the decoding. The walk over the pictures goes to and fro, so all pictures are needed equally often, and pixels
 * that are kept are never replaced by those of another picture.
 *
 * Invariants: everything together takes `capacityBytes` at most; the least recently used coded pictures and crops are
 * dropped first; no picture is coded or decoded twice at the same time; a failure is not kept, so the next reader tries
 * again.
 */
export class BackgroundFrames {
  /** `cachedFrames` times the share of one picture, or 135 MB where the pixels of that many pictures take as much. */
  readonly capacityBytes: number;
  readonly #options: BackgroundFramesOptions;
  readonly #pixelBytes: number;
  readonly #coded = new ByteCache<CodedPicture>();
  readonly #crops = new ByteCache<RgbImage>();
  readonly #deltas = new ByteCache<PictureDelta>();
  #base: RgbImage | undefined;
  readonly #coding = new Map<number, Promise<CodedPicture>>();
  readonly #decoding = new Map<number, Promise<RgbImage>>();

  constructor(options: BackgroundFramesOptions) {
    const { cachedFrames, size } = options;
    if (!Number.isInteger(cachedFrames) || cachedFrames < 1) {
      throw new RangeError(`cachedFrames is ${cachedFrames}: expected a whole number of at least 1`);
    }
    this.#options = options;
    this.#pixelBytes = size.width * size.height * 3;
    const enoughBytes = Math.min(cachedFrames * this.#pixelBytes, LARGE_ENOUGH_BYTES);
    this.capacityBytes = Math.max(cachedFrames * codedShareBytes(size), enoughBytes);
  }

  /** Bytes of what is kept. */
  get cachedBytes(): number {
    const baseBytes = this.#base?.data.length ?? 0;
    return this.#coded.usedBytes + this.#crops.usedBytes + this.#deltas.usedBytes + baseBytes;
  }

  /**
   * The pixels of one background; other readers may be given the same: read only.
   * @param index 0 ≤ index < number of paths; RangeError otherwise.
   * @throws FarmError `model_unusable` naming the file: unreadable or of another size.
   */
  async read(index: number): Promise<RgbImage> {
    const delta = this.#deltas.get(index);
    if (delta !== undefined && this.#base !== undefined) return applyDelta(this.#base, delta);
    return await once(this.#decoding, index, () => this.#decode(index));
  }

  /** The crop of background `index`: the one that is kept, or the one that `cut` makes. Shared: read only. */
  crop(index: number, cut: () => RgbImage): RgbImage {
    const kept = this.#crops.get(index);
    if (kept !== undefined) return kept;
    const crop = cut();
    this.#crops.set(index, crop, crop.data.length);
    this.#shrink();
    return crop;
  }

  async #decode(index: number): Promise<RgbImage> {
    const coded = this.#coded.get(index) ?? (await this.#code(index));
    const image = await decodeCoded(coded, this.#options.size, this.#pathOf(index));
    this.#keepPixels(index, image);
    return image;
  }

  #code(index: number): Promise<CodedPicture> {
    return once(this.#coding, index, async () => {
      const { size, rect } = this.#options;
      const coded = await codePicture(this.#pathOf(index), size, rect(index));
      this.#coded.set(index, coded, codedBytes(coded));
      this.#shrink();
      return coded;
    });
  }

  /** Keeps the pixels if there is room for a whole picture. */
  #keepPixels(index: number, image: RgbImage): void {
    const hasRoom = this.cachedBytes + this.#pixelBytes <= this.capacityBytes;
    if (!hasRoom || this.#deltas.count >= this.#options.cachedFrames) return;
    if (this.#base === undefined) this.#base = image;
    const delta = deltaFrom(this.#base, image);
    this.#deltas.set(index, delta, delta.pixels.length);
    this.#shrink();
  }

  #shrink(): void {
    const { cachedFrames } = this.#options;
    this.#coded.shrink(this.capacityBytes, cachedFrames);
    this.#crops.shrink(this.capacityBytes - this.#coded.usedBytes, cachedFrames);
    const roomBytes = this.capacityBytes - this.#coded.usedBytes - this.#crops.usedBytes - this.#pixelBytes;
    this.#deltas.shrink(roomBytes);
    if (roomBytes < 0) this.#base = undefined;
  }

  #pathOf(index: number): string {
    const path = this.#options.paths[index];
    if (path === undefined) {
      throw new RangeError(`background ${index} is outside 0 … ${this.#options.paths.length - 1}`);
    }
    return path;
  }
}

/** Returns the promise of the work on `key` that is under way, or starts it. */
function once<T>(underWay: Map<number, Promise<T>>, key: number, work: () => Promise<T>): Promise<T> {
  const running = underWay.get(key);
  if (running !== undefined) return running;
  const started = work().finally(() => underWay.delete(key));
  underWay.set(key, started);
  return started;
}
