/** The compositor in plain TypeScript: slow, and the definition of what the kernel in WebAssembly does. */
import { resizeBicubic } from '../pipeline/bicubic.ts';
import { CROP_MARGIN, type Rect, type RgbImage } from '../pipeline/contract.ts';
import { mixBack } from '../pipeline/mix-back.ts';
import { areaLayout, withGaps } from './area-layout.ts';
import {
  checkPictureSize,
  type FrameCompositor,
  MCU_SIDE,
  type MouthArea,
  type MouthPicture,
  type MouthPlace,
  mouthArea,
  type PictureSize,
  type PreparedJpeg,
  type PreparedPicture,
  ROW_FIELDS,
} from './contract.ts';
import { joinCrop, sizeOfMouth } from './crop.ts';
import { BitWriter } from './jpeg-bits.ts';
import { McuRow } from './jpeg-mcu-row.ts';
import { jpegHeader, markerAfterRow, quantisationSteps } from './jpeg-tables.ts';
import { convertArea } from './planes.ts';

const CHANNELS = 3;

export class PlainCompositor implements FrameCompositor {
  readonly #writer = new BitWriter();

  encodeBackground(picture: RgbImage, rect: Rect, quality: number): PreparedJpeg {
    checkPictureSize(picture);
    const steps = quantisationSteps(quality);
    const area = mouthArea(picture, rect);
    const [columns, rowCount] = [countMcus(picture.width), countMcus(picture.height)];
    const rows: number[] = [];
    const writer = this.#writer;
    writer.clear();
    writer.putBytes(jpegHeader(picture, columns, steps));
    const mcus = new McuRow(writer, steps);
    for (let row = 0; row < rowCount; row++) {
      const places = writeRow(mcus, picture, row, area);
      writer.align();
      const y = row * MCU_SIDE;
      if (area.y1 <= y && y < area.y2) rows.push(...places, writer.position / 8);
      writer.putBytes(Uint8Array.of(0xff, markerAfterRow(row, rowCount)));
    }
    return { jpeg: writer.bytes.slice(), rows: Int32Array.from(rows) };
  }

  cutCrop(picture: RgbImage, rect: Rect, crop: RgbImage): void {
    checkPictureSize(picture);
    resizeBicubic(picture, rect, crop, { x1: 0, y1: 0, x2: crop.width, y2: crop.height });
  }

  jpeg(picture: PreparedPicture, mouth: Uint8Array, make: (byteLength: number) => Uint8Array = Buffer.allocUnsafeSlow) {
    this.#patch(picture, paintedArea(picture, mouth));
    const { bytes } = this.#writer;
    const jpeg = make(bytes.length).subarray(0, bytes.length);
    jpeg.set(bytes);
    return jpeg;
  }

  pixels(background: RgbImage, place: MouthPlace, mouth: Uint8Array, pixels: Uint8Array): void {
    pixels.set(background.data);
    putMouth(place, mouth, background, { ...background, data: pixels });
  }

  planes(picture: MouthPicture, mouth: Uint8Array, planes: Uint8Array): void {
    convertArea(paintedArea(picture, mouth), mouthArea(picture, picture.rect), picture, planes);
  }

  /** Writes the picture's JPEG with its mouth's area replaced. */
  #patch(picture: PreparedPicture, pixels: RgbImage): void {
    const { jpeg, rows } = picture;
    const writer = this.#writer;
    writer.clear();
    const mcus = new McuRow(writer, quantisationSteps(picture.quality));
    let copied = 0;
    for (let row = 0; row * MCU_SIDE < pixels.height; row++) {
      const [firstBit, dcY, dcCb, dcCr, restBit, endBit, endByte] = rowAt(rows, row);
      writer.putBytes(jpeg.subarray(copied, firstBit >> 3));
      writer.copyBits(jpeg, firstBit - (firstBit & 7), firstBit);
      mcus.start([dcY, dcCb, dcCr]);
      for (let x = 0; x < pixels.width; x += MCU_SIDE) mcus.write(pixels, x, row * MCU_SIDE);
      writer.copyBits(jpeg, restBit, endBit);
      writer.align();
      copied = endByte;
    }
    writer.putBytes(jpeg.subarray(copied));
  }
}

/** Writes a row of MCUs. @returns firstBit … endBit of its entry in `PreparedJpeg.rows`. */
function writeRow(mcus: McuRow, picture: RgbImage, row: number, area: MouthArea): number[] {
  const places: number[] = [];
  mcus.start([0, 0, 0]);
  for (let x = 0; x < picture.width; x += MCU_SIDE) {
    if (x === area.x1) places.push(mcus.position, ...mcus.dcValues);
    if (x === area.x2) places.push(mcus.position);
    mcus.write(picture, x, row * MCU_SIDE);
  }
  if (area.x2 === picture.width) places.push(mcus.position);
  places.push(mcus.position);
  return places;
}

type RowPlaces = [number, number, number, number, number, number, number];

function rowAt(rows: Int32Array, row: number): RowPlaces {
  return [...rows.subarray(row * ROW_FIELDS.length, (row + 1) * ROW_FIELDS.length)] as RowPlaces;
}

/** The picture's mouth area with a mouth in it. */
function paintedArea(picture: MouthPicture, mouth: Uint8Array): RgbImage {
  const area = mouthArea(picture, picture.rect);
  const pixels = withGaps(areaLayout(picture, picture.rect, picture.weights !== undefined), picture.area);
  const background = areaPicture(pixels, area);
  const painted = areaPicture(pixels.slice(), area);
  putMouth({ ...picture, rect: moved(picture.rect, area) }, mouth, background, painted);
  return painted;
}

/** Joins rim and mouth to a crop, resizes it to the rect of `target`, and mixes that with what `background` has there. */
function putMouth({ rim, rect, weights }: MouthPlace, mouth: Uint8Array, background: RgbImage, target: RgbImage): void {
  const side = sizeOfMouth(mouth) + 2 * CROP_MARGIN;
  const crop = { width: side, height: side, data: new Uint8Array(side * side * CHANNELS) };
  joinCrop(rim, mouth, crop.data);
  resizeBicubic(crop, { x1: 0, y1: 0, x2: side, y2: side }, target, rect);
  if (weights) mixBack(background, target, rect, weights);
}

function areaPicture(data: Uint8Array, area: MouthArea): RgbImage {
  return { width: area.x2 - area.x1, height: area.y2 - area.y1, data };
}

/** `rect` in pixels of `area`. */
function moved(rect: Rect, { x1, y1 }: MouthArea): Rect {
  return { x1: rect.x1 - x1, y1: rect.y1 - y1, x2: rect.x2 - x1, y2: rect.y2 - y1 };
}

function countMcus(pixels: PictureSize['width']): number {
  return Math.ceil(pixels / MCU_SIDE);
}
