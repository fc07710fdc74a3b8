/** The conversion that `planes.ts` defines, with SIMD (`planes.as.ts`). */
import { type Kernel, startKernel } from '../../shared/wasm-kernel.ts';
import type { Rect, RgbImage } from '../pipeline/contract.ts';
import type { PictureSize } from './contract.ts';
import { planeLayout } from './planes.ts';

const WASM = new URL('./planes.kernel.wasm', import.meta.url);
/** Rows that are converted at a time, even: what is read and written meanwhile stays in the processor's cache. */
const BAND_ROWS = 32;
/** Each part of the memory begins on a boundary of its own. */
const ALIGNED = 64;
const CHANNELS = 3;

interface Exports {
  convertRows(...[rgb, stride, width, height, black, y, yStride, u, v, chromaStride]: number[]): void;
}

/** Where the parts of a band lie in the kernel's memory. A row of zeros at 0 stands for the row after an odd last one. */
interface Places {
  readonly pixels: number;
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

/** Converts pictures and areas of any size. One a thread: every call uses the same memory again. */
export class PlaneConverter {
  #kernel: Kernel<Exports> | undefined;
  #bytes = Buffer.alloc(0);

  /**
   * As `convertArea` in `planes.ts`, to the byte.
   * @throws RangeError for an area that does not lie in the picture, or planes of another size.
   */
  convertArea(pixels: RgbImage, area: Pick<Rect, 'x1' | 'y1'>, picture: PictureSize, planes: Uint8Array): void {
    const { width, height, data } = pixels;
    check(pixels, area, picture, planes);
    const stride = width + (width % 2);
    const places = this.#reserve(stride);
    const to = Buffer.from(planes.buffer, planes.byteOffset, planes.length);
    for (let row = 0; row < height; row += BAND_ROWS) {
      const rows = Math.min(BAND_ROWS, height - row);
      this.#bytes.set(data.subarray(row * width * CHANNELS, (row + rows) * width * CHANNELS), places.pixels);
      const { pixels: rgb, y, u, v } = places;
      this.#exports.convertRows(rgb, width * CHANNELS, width, rows, 0, y, stride, u, v, stride / 2);
      this.#copyOut(places, stride, rows + (rows % 2), { x1: area.x1, y1: area.y1 + row }, picture, to);
    }
  }

  get #exports(): Exports {
    return (this.#kernel as Kernel<Exports>).exports;
  }

  /** Copies a band of `columns` × `rows` samples of Y, and its chroma, into the planes of the picture. */
  #copyOut(
    { y, u, v }: Places,
    columns: number,
    rows: number,
    area: Pick<Rect, 'x1' | 'y1'>,
    picture: PictureSize,
    planes: Buffer,
  ): void {
    const { width, uAt, vAt } = planeLayout(picture);
    const [left, top] = [area.x1 / 2, area.y1 / 2];
    // The first column of chroma depends on the pixel left of the area, unless the picture begins there.
    const skipped = area.x1 === 0 ? 0 : 1;
    const chroma = top * (width / 2) + left + skipped;
    this.#copyRows(y, columns, columns, rows, planes, area.y1 * width + area.x1, width);
    for (const [from, to] of [
      [u, uAt],
      [v, vAt],
    ] as const) {
      const count = columns / 2 - skipped;
      this.#copyRows(from + skipped, columns / 2, count, rows / 2, planes, to + chroma, width / 2);
    }
  }

  #copyRows(
    from: number,
    fromStride: number,
    count: number,
    rows: number,
    planes: Buffer,
    to: number,
    toStride: number,
  ): void {
    if (count === fromStride && count === toStride) {
      this.#bytes.copy(planes, to, from, from + rows * count);
      return;
    }
    // Hundreds of rows a frame: a view of each would be most of what this thread leaves to the garbage collector.
    for (let row = 0; row < rows; row++) {
      const start = from + row * fromStride;
      this.#bytes.copy(planes, to + row * toStride, start, start + count);
    }
  }

  /** Makes room for a band of rows of `width` pixels; `width` is even. */
  #reserve(width: number): Places {
    const pixels = aligned(width * CHANNELS);
    const y = pixels + aligned(BAND_ROWS * width * CHANNELS);
    const u = y + aligned(BAND_ROWS * width);
    const v = u + aligned((BAND_ROWS * width) / 4);
    const end = v + aligned((BAND_ROWS * width) / 4);
    if (end > this.#bytes.length) {
      this.#kernel = startKernel<Exports>(WASM, end);
      this.#bytes = Buffer.from(this.#kernel.memory);
    } else this.#bytes.fill(0, 0, pixels);
    return { pixels, y, u, v };
  }
}

function check(
  { width, height, data }: RgbImage,
  area: Pick<Rect, 'x1' | 'y1'>,
  picture: PictureSize,
  planes: Uint8Array,
) {
  const { byteLength } = planeLayout(picture);
  const fits = area.x1 + width <= picture.width && area.y1 + height <= picture.height;
  if (fits && data.length === width * height * CHANNELS && planes.length === byteLength) return;
  const of = `${picture.width}x${picture.height} with planes of ${planes.length} bytes`;
  throw new RangeError(`${width}x${height} pixels (${data.length} bytes) at ${area.x1}, ${area.y1} of ${of}`);
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNED) * ALIGNED;
}
