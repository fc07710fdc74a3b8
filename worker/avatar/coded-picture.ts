/**
 * A background as it is kept in memory: coded, in a tenth of the bytes of its pixels. The pixels decoded from it are
 * the background on every worker, cached or not, so the coded form depends on the file and the crop rect only.
 *
 * A file that is small enough is kept as it is: all JPEG files and drawings. A larger one, such as the PNG of a
 * photograph, is kept as a JPEG of good quality, with the exact pixels where the mouth is: the network sees that part,
 * and viewers look at it. Both are MCU-aligned JPEG or small pictures, as painting in the compressed domain needs them.
 */

import sharp, { type Sharp } from 'sharp';
import type { Rect, RgbImage } from '../pipeline/contract.ts';
import { decodePicture, type PictureSize, readPictureFile } from './picture-file.ts';

/** 523 pictures of 1280×720 in 125 MB, so that they stay below 150 MB with what the heap loses between them. */
const BYTES_PER_PIXEL = 0.26;
/** Small pictures take little memory in any form, so they are not coded again. */
const LEAST_BYTES = 64 * 1024;
/** The first quality is used with which a picture keeps to its share of bytes, or else the last. */
const JPEG_QUALITIES = [92, 90, 87, 83, 75];
/** Side of the largest block of a JPEG, in pixels. */
const MCU_PIXELS = 16;

export interface CodedPicture {
  /** A picture file of any format; its EXIF orientation still has to be applied, as decodePicture does. */
  readonly file: Buffer;
  /** A PNG file of part of the picture, which takes the place of what `file` has there. */
  readonly exact?: { readonly area: Rect; readonly file: Buffer };
}

/** Bytes that a coded picture should take at most. */
export function codedShareBytes({ width, height }: PictureSize): number {
  return Math.max(LEAST_BYTES, Math.floor(width * height * BYTES_PER_PIXEL));
}

export function codedBytes({ file, exact }: CodedPicture): number {
  return file.length + (exact?.file.length ?? 0);
}

/**
 * Reads a picture file into the form that is kept.
 * @param size what the picture must measure; whether a small file does shows when it is decoded.
 * @param rect where the mouth is, inside the picture.
 * @throws FarmError `model_unusable` naming the file: unreadable, damaged, or of another size.
 */
export async function codePicture(path: string, size: PictureSize, rect: Rect): Promise<CodedPicture> {
  const file = await readPictureFile(path);
  const shareBytes = codedShareBytes(size);
  if (file.length <= shareBytes) return { file };
  const pixels = await decodePicture(file, size, path);
  const exact = await cutExact(pixels, rect);
  let coded: CodedPicture = { file, exact };
  for (const quality of JPEG_QUALITIES) {
    // Full-resolution colour: the edge between the exact area and the rest would show otherwise.
    const jpeg = { quality, chromaSubsampling: '4:4:4', optimiseCoding: false };
    coded = { file: await ownBytes(fromPixels(pixels).jpeg(jpeg)), exact };
    if (codedBytes(coded) <= shareBytes) break;
  }
  return coded;
}

/**
 * The picture's pixels. The same coded picture always gives the same.
 * @param path where the picture came from, for messages.
 * @throws FarmError `model_unusable` naming the file: damaged or of another size.
 */
export async function decodeCoded({ file, exact }: CodedPicture, size: PictureSize, path: string): Promise<RgbImage> {
  if (exact === undefined) return await decodePicture(file, size, path);
  const { area } = exact;
  const areaSize = { width: area.x2 - area.x1, height: area.y2 - area.y1 };
  const [picture, part] = await Promise.all([
    decodePicture(file, size, path),
    decodePicture(exact.file, areaSize, path),
  ]);
  const rowBytes = areaSize.width * 3;
  for (let row = 0; row < areaSize.height; row++) {
    const to = ((area.y1 + row) * picture.width + area.x1) * 3;
    picture.data.set(part.data.subarray(row * rowBytes, (row + 1) * rowBytes), to);
  }
  return picture;
}

/** The rect, grown to whole blocks, without any loss. */
async function cutExact(pixels: RgbImage, rect: Rect): Promise<{ area: Rect; file: Buffer }> {
  const area = {
    x1: Math.floor(rect.x1 / MCU_PIXELS) * MCU_PIXELS,
    y1: Math.floor(rect.y1 / MCU_PIXELS) * MCU_PIXELS,
    x2: Math.min(Math.ceil(rect.x2 / MCU_PIXELS) * MCU_PIXELS, pixels.width),
    y2: Math.min(Math.ceil(rect.y2 / MCU_PIXELS) * MCU_PIXELS, pixels.height),
  };
  const part = { left: area.x1, top: area.y1, width: area.x2 - area.x1, height: area.y2 - area.y1 };
  // Adaptive filters save a quarter of a photograph's bytes.
  const file = await ownBytes(fromPixels(pixels).extract(part).png({ adaptiveFiltering: true }));
  return { area, file };
}

/**
 * Copies the file into memory of this thread. The buffer that sharp returns lies between the pictures that its threads
 * have worked on, and keeps the memory of those from being freed: hundreds of megabytes for a whole avatar.
 */
async function ownBytes(picture: Sharp): Promise<Buffer> {
  return Buffer.from(await picture.toBuffer());
}

function fromPixels({ data, width, height }: RgbImage): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}
