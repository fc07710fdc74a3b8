/** The compositor that a thread uses: what plain-compositor.ts defines, done by a kernel in WebAssembly. */
import { CROP_MARGIN, type Rect, type RgbImage } from '../pipeline/contract.ts';
import { areaLayout } from './area-layout.ts';
import {
  checkPictureSize,
  type FrameCompositor,
  MCU_SIDE,
  type MouthArea,
  type MouthPicture,
  type MouthPlace,
  mouthArea,
  type PreparedJpeg,
  type PreparedPicture,
  ROW_FIELDS,
} from './contract.ts';
import { sizeOfCrop, sizeOfMouth } from './crop.ts';
import { jpegHeader, markerAfterRow, quantisationSteps } from './jpeg-tables.ts';
import { CompositorKernel } from './kernel.ts';
import { PlaneConverter } from './plane-converter.ts';

const CHANNELS = 3;
/** 6 blocks of 64 coefficients, each at most 26 bits, and a byte of 0 after every byte. */
const LARGEST_MCU_BYTES = 2496;
const END_BYTE = ROW_FIELDS.indexOf('endByte');

export class Compositor implements FrameCompositor {
  readonly #kernel = new CompositorKernel();
  readonly #planes = new PlaneConverter();

  encodeBackground(picture: RgbImage, rect: Rect, quality: number): PreparedJpeg {
    checkPictureSize(picture);
    const { width, height, data } = picture;
    const stride = width * CHANNELS;
    const [columns, rowCount] = [Math.ceil(width / MCU_SIDE), Math.ceil(height / MCU_SIDE)];
    const area = mouthArea(picture, rect);
    const [pixels, coded] = this.#reserve(stride * MCU_SIDE, columns * LARGEST_MCU_BYTES);
    this.#kernel.setQuality(quality);
    const jpeg = new GrowingBytes(data.length / 8);
    jpeg.append(jpegHeader(picture, columns, quantisationSteps(quality)));
    const rows: number[] = [];
    for (let y = 0; y < height; y += MCU_SIDE) {
      const rowHeight = Math.min(height - y, MCU_SIDE);
      this.#kernel.bytes.set(data.subarray(y * stride, (y + rowHeight) * stride), pixels);
      const length = this.#kernel.run.encodeRow(pixels, width, rowHeight, area.x1, area.x2, coded);
      if (area.y1 <= y && y < area.y2) rows.push(...this.#rowPlaces(jpeg.length));
      jpeg.append(this.#kernel.bytes.subarray(coded, coded + length));
      jpeg.append(Uint8Array.of(0xff, markerAfterRow(y / MCU_SIDE, rowCount)));
    }
    return { jpeg: jpeg.bytes.slice(), rows: Int32Array.from(rows) };
  }

  cutCrop(picture: RgbImage, rect: Rect, crop: RgbImage): void {
    checkPictureSize(picture);
    const [width, height] = [rect.x2 - rect.x1, rect.y2 - rect.y1];
    const stride = width * CHANNELS;
    const [pixels, cut] = this.#reserve(stride * height, crop.data.length);
    const { bytes, run } = this.#kernel;
    for (let row = 0; row < height; row++) {
      const from = ((rect.y1 + row) * picture.width + rect.x1) * CHANNELS;
      bytes.set(picture.data.subarray(from, from + stride), pixels + row * stride);
    }
    run.resize(pixels, stride, width, height, cut, crop.width * CHANNELS, crop.width, crop.height);
    crop.data.set(bytes.subarray(cut, cut + crop.data.length));
  }

  jpeg(picture: PreparedPicture, mouth: Uint8Array, make: (byteLength: number) => Uint8Array = Buffer.allocUnsafeSlow) {
    const { jpeg, rows, quality } = picture;
    const area = mouthArea(picture, picture.rect);
    const [first, end] = [(rows[0] as number) >>> 3, rows.at(END_BYTE - ROW_FIELDS.length) as number];
    const [width, height] = [area.x2 - area.x1, area.y2 - area.y1];
    // What is copied bit by bit may come to have a byte of 255, and one of 0 after it, wherever it had none.
    const most = 2 * (end - first) + Math.ceil(width / MCU_SIDE) * Math.ceil(height / MCU_SIDE) * LARGEST_MCU_BYTES;
    const [pixels, before, patched, apart] = this.#reserve(
      width * height * CHANNELS,
      end - first,
      most,
      bytesApart(picture),
    );
    const { bytes, run } = this.#kernel;
    this.#kernel.setQuality(quality);
    this.#paint(picture, area, pixels, apart, mouth);
    bytes.set(jpeg.subarray(first, end), before);
    this.#kernel.words(this.#kernel.at('ROWS'), rows.length).set(rows);
    const length = run.patch(before - first, pixels, width, height, patched);
    const total = first + length + jpeg.length - end;
    const frame = make(total).subarray(0, total);
    frame.set(jpeg.subarray(0, first));
    frame.set(bytes.subarray(patched, patched + length), first);
    frame.set(jpeg.subarray(end), first + length);
    return frame;
  }

  pixels(background: RgbImage, place: MouthPlace, mouth: Uint8Array, pixels: Uint8Array): void {
    const { x1, x2, y1, y2 } = place.rect;
    const stride = (x2 - x1) * CHANNELS;
    const [painted, apart] = this.#reserve(stride * (y2 - y1), bytesApart(place));
    const { bytes } = this.#kernel;
    const inPicture = (row: number) => ((y1 + row) * background.width + x1) * CHANNELS;
    for (let row = 0; place.weights && row < y2 - y1; row++) {
      const line = background.data.subarray(inPicture(row), inPicture(row) + stride);
      bytes.set(line, painted + row * stride);
    }
    this.#putMouth(place, mouth, painted, stride, apart);
    pixels.set(background.data);
    for (let row = 0; row < y2 - y1; row++) {
      const from = painted + row * stride;
      pixels.set(bytes.subarray(from, from + stride), inPicture(row));
    }
  }

  planes(picture: MouthPicture, mouth: Uint8Array, planes: Uint8Array): void {
    const area = mouthArea(picture, picture.rect);
    const [width, height] = [area.x2 - area.x1, area.y2 - area.y1];
    const [pixels, apart] = this.#reserve(width * height * CHANNELS, bytesApart(picture));
    this.#paint(picture, area, pixels, apart, mouth);
    const data = this.#kernel.bytes.subarray(pixels, pixels + width * height * CHANNELS);
    this.#planes.convertArea({ width, height, data }, area, picture, planes);
  }

  /** Fills the kernel's memory at `pixels` with the frame's mouth area. @param apart see `#putMouth`. */
  #paint(picture: MouthPicture, area: MouthArea, pixels: number, apart: number, mouth: Uint8Array): void {
    const { rect } = picture;
    const stride = (area.x2 - area.x1) * CHANNELS;
    this.#putArea(picture, pixels, apart);
    const at = pixels + (rect.y1 - area.y1) * stride + (rect.x1 - area.x1) * CHANNELS;
    this.#putMouth(picture, mouth, at, stride, apart);
  }

  /** Puts what is kept of the area to `pixels`. @param apart memory for it, where it has gaps. */
  #putArea(picture: MouthPicture, pixels: number, apart: number): void {
    const { area, rect, weights } = picture;
    const { bytes, run } = this.#kernel;
    const { before, stride, gapBytes, gaps } = areaLayout(picture, rect, weights !== undefined);
    bytes.set(area, gaps > 0 ? apart : pixels);
    if (gaps > 0) run.spread(apart, area.length, pixels, before, stride - gapBytes, gapBytes, gaps);
  }

  /**
   * Puts a mouth over the pixels of its rect, which lie at `at`, `stride` bytes a row.
   * @param apart memory for `bytesApart`, in which a mouth that is to be mixed with them is made.
   */
  #putMouth({ rect, rim, weights }: MouthPlace, mouth: Uint8Array, at: number, stride: number, apart: number): void {
    const [width, height] = [rect.x2 - rect.x1, rect.y2 - rect.y1];
    const line = width * CHANNELS;
    this.#joinCrop(rim, mouth);
    const [to, toStride] = weights ? [apart, line] : [at, stride];
    const side = sizeOfMouth(mouth) + 2 * CROP_MARGIN;
    this.#kernel.run.resize(this.#kernel.at('CROP'), side * CHANNELS, side, side, to, toStride, width, height);
    if (!weights) return;
    const weightsAt = apart + line * height;
    this.#kernel.bytes.set(weights, weightsAt);
    this.#kernel.run.mix(apart, weightsAt, at, stride, width, height);
  }

  #joinCrop(rim: Uint8Array, mouth: Uint8Array): void {
    const kernel = this.#kernel;
    const size = sizeOfCrop(rim, mouth);
    kernel.bytes.set(rim, kernel.at('RIM'));
    kernel.bytes.set(mouth, kernel.at('MOUTH'));
    kernel.run.joinCrop(size);
  }

  /** The entry of ROWS that `encodeRow` has filled, in places of a file in which the row begins at byte `start`. */
  #rowPlaces(start: number): number[] {
    const [firstBit, dcY, dcCb, dcCr, restBit, endBit, endByte] = this.#kernel.words(
      this.#kernel.at('ROWS'),
      ROW_FIELDS.length,
    ) as unknown as [number, number, number, number, number, number, number];
    const bit = start * 8;
    return [bit + firstBit, dcY, dcCb, dcCr, bit + restBit, bit + endBit, start + endByte];
  }

  #reserve<const Lengths extends readonly number[]>(...lengths: Lengths) {
    return this.#kernel.reserve(...lengths) as { [index in keyof Lengths]: number };
  }
}

/**
 * Memory for a mouth that is mixed with its picture: its pixels, then their weights. For any other, for what is kept of
 * the area that it goes into.
 */
function bytesApart({ weights, area }: MouthPlace & Partial<Pick<MouthPicture, 'area'>>): number {
  return weights ? weights.length * (CHANNELS + 1) : (area?.length ?? 0);
}

/** Bytes of a file whose length is not known yet. */
class GrowingBytes {
  length = 0;
  #memory: Uint8Array;

  constructor(expected: number) {
    this.#memory = new Uint8Array(expected);
  }

  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.length);
  }

  append(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.#memory.length) {
      const larger = new Uint8Array(Math.max(this.#memory.length * 2, this.length + bytes.length));
      larger.set(this.bytes);
      this.#memory = larger;
    }
    this.#memory.set(bytes, this.length);
    this.length += bytes.length;
  }
}
