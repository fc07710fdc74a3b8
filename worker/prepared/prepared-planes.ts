/**
 * Planes of an avatar's backgrounds: those of YUV, as x264 takes them, and their alpha. Made when an output first needs
 * them, a file for each picture. They depend on the picture alone, so avatars of any rect and network share them.
 */

import { createHash } from 'node:crypto';
import type { Backdrop } from '../avatar/backdrop.ts';
import { decodeAlpha } from '../avatar/picture-alpha.ts';
import { decodePicture, type PictureSize, readPictureFile } from '../avatar/picture-file.ts';
import { PlaneConverter } from '../compositor/plane-converter.ts';
import { alphaBytes, padAlpha, planeLayout } from '../compositor/planes.ts';
import { putBehind } from '../compositor/put-behind.ts';
import { type ContentHashes, versionOf } from './content-hashes.ts';
import type { AvatarSources } from './contract.ts';
import { crc32Of } from './picture-record.ts';
import { noteUnwritable, type PreparedFiles, type ReadAt } from './prepared-files.ts';

/** Ends the names of files of planes. */
export const PLANES_SUFFIX = '.planes';
const KEY_DIGITS = 32;
/** After the planes: their length and their checksum, little-endian. */
const TAIL_BYTES = 8;

/** Which planes of a picture are kept, and how they are made. */
export interface PlaneKind {
  readonly name: string;
  /** Another number whenever the same picture comes to give other planes. */
  readonly version: number;
  /** What else than the picture they depend on: id of the backdrop that is seen behind it. */
  readonly behind?: string | undefined;
  byteLength(size: PictureSize): number;
  /** @param file content of the picture file at `path`. @throws FarmError `model_unusable` naming it. */
  make(file: Buffer, size: PictureSize, path: string, into: Uint8Array): Promise<void>;
}

/** Y, U and V, laid out as `planeLayout` says, of pictures as they are seen in front of a backdrop if there is one. */
export function yuvPlanes(backdrop?: Backdrop): PlaneKind {
  const converter = new PlaneConverter();
  return {
    ...{ name: 'planes', version: 1, behind: backdrop?.id, byteLength: (size) => planeLayout(size).byteLength },
    make: async (file, size, path, into) => {
      const pixels = await decodePicture(file, size, path);
      const seen = backdrop
        ? putBehind(pixels, await decodeAlpha(file, size, path), backdrop.pixels, NOWHERE).picture
        : pixels;
      converter.convertArea(seen, { x1: 0, y1: 0 }, size, into);
    },
  };
}

/** What a mouth covers is made anew with it. */
const NOWHERE = { x1: 0, y1: 0, x2: 0, y2: 0 };

/** Alpha, laid out as the plane of Y is. */
export const ALPHA_PLANE: PlaneKind = {
  ...{ name: 'alpha', version: 1, byteLength: alphaBytes },
  make: async (file, size, path, into) => padAlpha(await decodeAlpha(file, size, path), size, into),
};

export class PreparedPlanes {
  readonly #avatar: AvatarSources;
  readonly #kind: PlaneKind;
  readonly #files: PreparedFiles | undefined;
  readonly #hashes: ContentHashes;
  /** By index. */
  readonly #keys = new Map<number, string>();
  /** Indices whose file was found right. */
  readonly #checked = new Set<number>();

  /** @param files where they are kept; undefined: nowhere. */
  constructor(avatar: AvatarSources, kind: PlaneKind, files: PreparedFiles | undefined, hashes: ContentHashes) {
    this.#avatar = avatar;
    this.#kind = kind;
    this.#files = files;
    this.#hashes = hashes;
  }

  /**
   * @param into receives the planes of background `index`.
   * @throws FarmError `model_unusable` naming the file: unreadable or of another size; RangeError for `into`.
   */
  async read(index: number, into: Uint8Array): Promise<void> {
    const byteLength = this.#kind.byteLength(this.#avatar.size);
    if (into.length !== byteLength) throw new RangeError(`The planes have ${byteLength} bytes, not ${into.length}`);
    const files = this.#files;
    if (files === undefined) {
      await this.#convert(index, into);
      return;
    }
    const key = this.#keys.get(index) ?? (await this.#findKey(index, files));
    if (key !== undefined && files.read(key, (at) => this.#readFile(index, at, into))) return;
    await this.#make(index, into, files);
  }

  /** Planes of another kind of the same pictures. */
  ofKind(kind: PlaneKind): PreparedPlanes {
    return new PreparedPlanes(this.#avatar, kind, this.#files, this.#hashes);
  }

  /** Marks the files that were read or made as used, for retention. */
  async touch(): Promise<void> {
    for (const key of this.#keys.values()) await this.#files?.touch(key);
  }

  async #findKey(index: number, files: PreparedFiles): Promise<string | undefined> {
    const sha256 = await this.#hashes.find(this.#avatar.source(index).background);
    if (sha256 === undefined) return undefined;
    const key = this.#keyOf(sha256);
    this.#keys.set(index, key);
    await files.touch(key);
    return key;
  }

  #readFile(index: number, at: ReadAt, into: Uint8Array): true | undefined {
    if (at(into, 0) !== into.length) return undefined;
    if (this.#checked.has(index)) return true;
    const tail = new Uint8Array(TAIL_BYTES);
    if (at(tail, into.length) !== TAIL_BYTES || Buffer.compare(tail, tailOf(into)) !== 0) return undefined;
    this.#checked.add(index);
    return true;
  }

  /** @returns the picture's file. */
  async #convert(index: number, into: Uint8Array): Promise<Uint8Array> {
    const { background } = this.#avatar.source(index);
    const file = await readPictureFile(background);
    await this.#kind.make(file, this.#avatar.size, background, into);
    return file;
  }

  async #make(index: number, into: Uint8Array, files: PreparedFiles): Promise<void> {
    const { background } = this.#avatar.source(index);
    const version = await versionOf(background);
    const file = await this.#convert(index, into);
    const sha256 = createHash('sha256').update(file).digest('hex');
    const key = this.#keyOf(sha256);
    this.#keys.set(index, key);
    await this.#hashes.note(background, version, sha256);
    const bytes = new Uint8Array(into.length + TAIL_BYTES);
    bytes.set(into);
    bytes.set(tailOf(into), into.length);
    await files.write(key, bytes).catch(noteUnwritable(files.folder));
  }

  #keyOf(sha256: string): string {
    const { name, version, behind } = this.#kind;
    const all = JSON.stringify([name, version, sha256, ...(behind === undefined ? [] : [behind])]);
    return createHash('sha256').update(all).digest('hex').slice(0, KEY_DIGITS);
  }
}

function tailOf(planes: Uint8Array): Uint8Array {
  const tail = new DataView(new ArrayBuffer(TAIL_BYTES));
  tail.setUint32(0, planes.length, true);
  tail.setUint32(4, crc32Of(planes), true);
  return new Uint8Array(tail.buffer);
}
