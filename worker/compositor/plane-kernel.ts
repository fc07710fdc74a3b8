/** The conversion that `planes.ts` defines, with SIMD (`planes.as.ts`). */
import { startKernel } from '../../shared/wasm-kernel.ts';
import type { Rect, RgbImage } from '../pipeline/contract.ts';
import type { PictureSize } from './contract.ts';
import { type PlaneLayout, planeLayout } from './planes.ts';

/** Each part of the memory begins on a boundary of its own. */
const ALIGNED = 64;

interface Exports {
  convertRows(...[rgb, stride, width, height, black, keepsFirst, y, yStride, u, v, chromaStride]: number[]): void;
}

/**
 * Converts pictures of one size. One instance a thread; its memory holds one picture, and as many sets of planes as the
 * caller asks for.
 */
export class PlaneKernel {
  readonly layout: PlaneLayout;
  readonly #picture: PictureSize;
  readonly #exports: Exports;
  readonly #pixels: Uint8Array;
  readonly #planes: readonly Uint8Array[];

  /** @param slots sets of planes. */
  constructor(picture: PictureSize, slots = 1) {
    this.#picture = picture;
    this.layout = planeLayout(picture);
    const pixelsAt = aligned(this.layout.width * 3);
    const pixelBytes = picture.width * picture.height * 3;
    const planesAt = pixelsAt + aligned(pixelBytes);
    const slotBytes = aligned(this.layout.byteLength);
    const url = new URL('./planes.kernel.wasm', import.meta.url);
    const { exports, memory } = startKernel<Exports>(url, planesAt + slots * slotBytes);
    this.#exports = exports;
    this.#pixels = new Uint8Array(memory, pixelsAt, pixelBytes);
    this.#planes = Array.from(
      { length: slots },
      (_, slot) => new Uint8Array(memory, planesAt + slot * slotBytes, this.layout.byteLength),
    );
  }

  /** The planes of a slot, always the same memory. */
  planes(slot = 0): Uint8Array {
    return this.#planes[slot] as Uint8Array;
  }

  /** Converts a whole picture into the planes of `slot`, which it returns. */
  convert(image: RgbImage, slot = 0): Uint8Array {
    return this.patch(image, { x1: 0, y1: 0 }, slot);
  }

  /**
   * Converts an area of the picture into the planes of `slot`, which hold the rest of it already; returns them.
   * @param pixels RGB of the area alone.
   * @param area its left and top, even; see `convertArea`.
   * @throws RangeError for an area that does not lie in the picture.
   */
  patch(pixels: RgbImage, area: Pick<Rect, 'x1' | 'y1'>, slot = 0): Uint8Array {
    const { width, height, data } = pixels;
    const fits = area.x1 + width <= this.#picture.width && area.y1 + height <= this.#picture.height;
    if (!fits || data.length !== width * height * 3) {
      const of = `${this.#picture.width}x${this.#picture.height}`;
      throw new RangeError(`${width}x${height} pixels (${data.length} bytes) at ${area.x1}, ${area.y1} of ${of}`);
    }
    this.#pixels.set(data);
    const planes = this.planes(slot);
    const { width: stride, uAt, vAt } = this.layout;
    const y = planes.byteOffset + area.y1 * stride + area.x1;
    const chroma = planes.byteOffset + ((area.y1 / 2) * stride) / 2 + area.x1 / 2;
    const keepsFirst = area.x1 === 0 ? 0 : 1;
    // The row of zeros that an odd last row needs lies at 0: nothing else writes there.
    this.#exports.convertRows(
      ...[this.#pixels.byteOffset, width * 3, width, height, 0, keepsFirst],
      ...[y, stride, chroma + uAt, chroma + vAt, stride / 2],
    );
    return planes;
  }
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNED) * ALIGNED;
}
