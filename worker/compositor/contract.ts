/**
 * What the compositor and its users agree on: which part of a picture a mouth changes, and the forms in which a
 * picture of the avatar is kept so that a frame costs no more than that part.
 */
import { CROP_MARGIN, type NetworkSize, type Rect, type RgbImage } from '../pipeline/contract.ts';

/** Side of an MCU in pixels: with chroma halved both ways, the smallest piece of a JPEG that can be encoded alone. */
export const MCU_SIDE = 16;

/** Largest side of a picture in pixels that the compositor takes. */
export const LARGEST_SIDE = 8192;

export interface PictureSize {
  readonly width: number;
  readonly height: number;
}

/** @throws RangeError for a picture that the compositor does not take. */
export function checkPictureSize({ width, height }: PictureSize): void {
  if (Math.min(width, height) >= 1 && Math.max(width, height) <= LARGEST_SIDE) return;
  throw new RangeError(`A picture of ${width}x${height} is not 1 to ${LARGEST_SIDE} pixels wide and high.`);
}

/** What a mouth in `rect` changes of a picture: whole MCUs, clipped to the picture. x1 and y1 are multiples of 16. */
export type MouthArea = Rect;

/** Columns left of a rect that a sample of chroma in `planes.ts` can reach when it also reaches into the rect. */
const CHROMA_REACH = 2;

/**
 * The MCUs that `rect` touches, or reaches by the chroma of `planes.ts`, and one column of them more on the right:
 * encoded again, it ends on the DC values that the untouched rest of its row was encoded after.
 * @param rect not empty, inside the picture.
 */
export function mouthArea(picture: PictureSize, rect: Rect): MouthArea {
  return {
    x1: Math.floor(Math.max(0, rect.x1 - CHROMA_REACH) / MCU_SIDE) * MCU_SIDE,
    y1: rect.y1 - (rect.y1 % MCU_SIDE),
    x2: Math.min(upToMcu(rect.x2) + MCU_SIDE, picture.width),
    y2: Math.min(upToMcu(rect.y2), picture.height),
  };
}

function upToMcu(position: number): number {
  return Math.ceil(position / MCU_SIDE) * MCU_SIDE;
}

/** Values in `PreparedJpeg.rows` for each row of MCUs in the mouth's area, in this order. */
export const ROW_FIELDS = ['firstBit', 'dcY', 'dcCb', 'dcCr', 'restBit', 'endBit', 'endByte'] as const;

/**
 * A picture as a JPEG in which the mouth's area can be replaced: baseline, 4:2:0, the standard's Huffman tables, and a
 * restart marker after each row of MCUs.
 */
export interface PreparedJpeg {
  readonly jpeg: Uint8Array;
  /**
   * For each row of MCUs in the mouth's area: the bit in `jpeg` where its first MCU in the area begins, the DC values of
   * Y, Cb and Cr before it, the bit where the first MCU right of the area begins, the bit after the row's last MCU, and
   * the byte after the padding that follows that (it holds the marker). A bit's number is 8 × its byte + its place there
   * from the top, below 2^31: noise of 8192×8192 at quality 100 has 1.8 × 10^9 bits at most, since no picture has more
   * energy. `restBit` equals `endBit` where the area reaches the right edge.
   */
  readonly rows: Int32Array;
}

/** The part of a picture that a mouth changes. */
export interface MouthPicture extends PictureSize {
  /** Where the crop lies. */
  readonly rect: Rect;
  /** RGB of `mouthArea(this, rect)`, row-major, without the gaps of `areaLayout`. */
  readonly area: Uint8Array;
  /** What of the (S+8)² crop is around the network's picture, see `rimBytes`. */
  readonly rim: Uint8Array;
  /**
   * How much of the mouth each pixel of the rect shows, row-major: 255 all, 0 nothing, so it stays the picture's. Absent:
   * all everywhere.
   */
  readonly weights?: Uint8Array | undefined;
}

/** Where and how a mouth is put into pixels. */
export type MouthPlace = Pick<MouthPicture, 'rect' | 'rim' | 'weights'>;

/** One picture of an avatar, ready for a mouth. */
export interface PreparedPicture extends PreparedJpeg, MouthPicture {
  /** JPEG quality of `jpeg`, 1–100. */
  readonly quality: number;
}

/**
 * Bytes of the rim of an (S+8)² RGB crop: its first 4 rows, then the left 4 and the right 4 pixels of each of the S rows
 * between, then its last 4 rows.
 */
export function rimBytes(size: NetworkSize): number {
  const side = size + 2 * CROP_MARGIN;
  return (side * side - size * size) * 3;
}

/**
 * Puts mouths into pictures. One belongs to one thread: every call uses the same memory again.
 *
 * A mouth is the network's picture, [S, S, 3] RGB, with S² × 3 bytes; S (160 or 320) follows from its length. It fills
 * the inner S×S of the crop around which the picture's rim lies, and the crop is resized to the rect as
 * `resizeBicubic` does it; then it is mixed with the picture as `mixBack` does it. So all forms show the same pixels. RangeError for a mouth of another length, or a rim that
 * is not that of its network.
 */
export interface FrameCompositor {
  /**
   * Encodes a picture for `jpeg`. It decodes to what libjpeg's encoder with the same quality decodes to.
   * @param quality 1–100.
   * @throws RangeError for a picture with a side over `LARGEST_SIDE`.
   */
  encodeBackground(picture: RgbImage, rect: Rect, quality: number): PreparedJpeg;

  /**
   * Fills `crop`, (S+8)², with `rect` of `picture`, as `resizeBicubic` does it.
   * @param rect not empty, inside the picture.
   * @throws RangeError for a picture with a side over `LARGEST_SIDE`.
   */
  cutCrop(picture: RgbImage, rect: Rect, crop: RgbImage): void;

  /**
   * The frame as a JPEG, the caller's own. It decodes to what encoding all its pixels anew would decode to.
   * @param make gives the memory for it, `byteLength` bytes or more; `Buffer.allocUnsafeSlow` when absent.
   */
  jpeg(picture: PreparedPicture, mouth: Uint8Array, make?: (byteLength: number) => Uint8Array): Uint8Array;

  /**
   * The frame as RGB pixels.
   * @param place in `background`.
   * @param pixels becomes the frame, as many bytes as the background has; its contents do not matter.
   */
  pixels(background: RgbImage, place: MouthPlace, mouth: Uint8Array, pixels: Uint8Array): void;

  /**
   * The frame as planes of YUV 4:2:0, as `planes.ts` defines them.
   * @param planes hold the background's, laid out as `planeLayout(picture)` says, and become the frame's. May lie in
   * memory of several threads.
   */
  planes(picture: MouthPicture, mouth: Uint8Array, planes: Uint8Array): void;
}
