/** What users of a prepared avatar get of it: each picture in the forms that frames are made from. */

import type { PictureSource } from '../avatar/avatar.ts';
import type { BackdropSource } from '../avatar/backdrop.ts';
import type { PictureSize, PreparedPicture } from '../compositor/contract.ts';
import type { Blend, Rect } from '../pipeline/contract.ts';

/** What an avatar is prepared from. */
export interface AvatarSources {
  readonly frameCount: number;
  readonly size: PictureSize;
  /** How mouths meet the pictures; `none` when absent. */
  readonly blend?: Blend;
  /** What is to be seen behind pictures with alpha. */
  readonly backdrop?: BackdropSource | undefined;
  rect(index: number): Rect;
  /** The files of picture `index`. */
  source(index: number): PictureSource;
}

/** How many of an avatar's pictures are prepared. */
export interface PreparedShare {
  readonly done: number;
  readonly total: number;
}

/**
 * An avatar whose pictures are prepared once and kept in files. What is not prepared yet is prepared when it is asked
 * for, to the same bytes. All methods take 0 ≤ index < frameCount (RangeError otherwise) and throw FarmError
 * `model_unusable`, which names the file, for a picture that cannot be used.
 */
export interface PreparedAvatar extends PictureSize {
  readonly frameCount: number;
  /** Side S of the network's picture. */
  readonly side: number;
  /** JPEG quality of the prepared pictures, 1–100. */
  readonly quality: number;
  readonly share: PreparedShare;
  /** Bytes that are kept in memory. */
  readonly cachedBytes: number;

  /** Where the mouth is in picture `index`. */
  rect(index: number): Rect;

  /**
   * Picture `index`, ready for a mouth. Read only: others may be given the same. Its arrays lie in a SharedArrayBuffer,
   * so other threads get it without a copy.
   */
  picture(index: number): Promise<PreparedPicture>;

  /** Tells that no thread reads a picture any more which `picture` gave: unless it is kept, another takes its memory. */
  giveBack(picture: PreparedPicture): void;

  /**
   * What the network sees of picture `index`: the inner S×S of its crop, with the avatar's own picture of the face laid
   * on where it has one.
   * @param into receives [S, S, 3] RGB; may lie in memory of WebAssembly or of several threads.
   */
  face(index: number, into: Uint8Array): Promise<void>;

  /** Whether the avatar has own pictures for the channels in which the mouth is hidden. */
  readonly hasHiddenFaces: boolean;

  /** That picture of the face, [S, S, 3] RGB; the mouth is not hidden in it yet. Only if `hasHiddenFaces`. */
  hiddenFace(index: number, into: Uint8Array): Promise<void>;

  /**
   * Background `index` as planes of YUV 4:2:0, without a mouth.
   * @param into receives them, laid out as `planeLayout` says.
   */
  planes(index: number, into: Uint8Array): Promise<void>;

  /**
   * The alpha of background `index`, 255 opaque; a picture without alpha is opaque.
   * @param into receives it, laid out as the plane of Y is: `alphaBytes`.
   */
  alpha(index: number, into: Uint8Array): Promise<void>;
}
