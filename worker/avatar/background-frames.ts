/** An avatar's background pictures as pixels, through a cache that holds a fixed number of them. */

import type { RgbImage } from '../pipeline/contract.ts';
import { type PictureSize, readPicture } from './picture-file.ts';

/**
 * Invariants: at most `cachedFrames` decoded pictures are kept, least recently used out first; a picture is being
 * decoded at most once at any time; a decode that fails is forgotten, so the next reader tries again.
 */
export class BackgroundFrames {
  readonly #paths: readonly string[];
  readonly #size: PictureSize;
  readonly #cachedFrames: number;
  /** In order of use, least recent first. */
  readonly #decoded = new Map<number, RgbImage>();
  readonly #decoding = new Map<number, Promise<RgbImage>>();

  /**
   * @param paths picture files by frame index.
   * @param size what each must measure, in pixels.
   * @param cachedFrames pictures kept decoded, ≥ 1; one of 1280×720 takes 2.8 MB.
   */
  constructor(paths: readonly string[], size: PictureSize, cachedFrames: number) {
    if (!Number.isInteger(cachedFrames) || cachedFrames < 1) {
      throw new RangeError(`cachedFrames is ${cachedFrames}: expected a whole number of at least 1`);
    }
    this.#paths = paths;
    this.#size = size;
    this.#cachedFrames = cachedFrames;
  }

  /** Memory of the pictures that are kept, in bytes. */
  get cachedBytes(): number {
    let bytes = 0;
    for (const { data } of this.#decoded.values()) bytes += data.byteLength;
    return bytes;
  }

  /**
   * The pixels of one background, shared with the cache: read only.
   * @param index 0 ≤ index < number of paths; RangeError otherwise.
   * @throws FarmError `model_unusable` naming the file: unreadable or of another size.
   */
  async read(index: number): Promise<RgbImage> {
    const decoded = this.#decoded.get(index);
    if (decoded === undefined) return await this.#decode(index);
    this.#keep(index, decoded);
    return decoded;
  }

  /** Starts decoding a background that will be read soon. Its errors are left to `read`. */
  prefetch(index: number): void {
    if (!this.#decoded.has(index)) this.#decode(index).catch(() => {});
  }

  /** Joins the decode under way, or starts one. */
  #decode(index: number): Promise<RgbImage> {
    const underWay = this.#decoding.get(index);
    if (underWay !== undefined) return underWay;
    const decoding = this.#decodeAlone(index).finally(() => this.#decoding.delete(index));
    this.#decoding.set(index, decoding);
    return decoding;
  }

  async #decodeAlone(index: number): Promise<RgbImage> {
    const path = this.#paths[index];
    if (path === undefined) throw new RangeError(`background ${index} is outside 0 … ${this.#paths.length - 1}`);
    const image = await readPicture(path, this.#size);
    this.#keep(index, image);
    return image;
  }

  /** Marks a picture as the most recently used and drops the least recently used ones beyond the bound. */
  #keep(index: number, image: RgbImage): void {
    this.#decoded.delete(index);
    this.#decoded.set(index, image);
    for (const oldest of this.#decoded.keys()) {
      if (this.#decoded.size <= this.#cachedFrames) break;
      this.#decoded.delete(oldest);
    }
  }
}
