/** The file of one prepared picture whose key is known, and what was read of it so far. */

import { crc32Of, HEAD_BYTES, type PartPlace, type PictureHead, readHead } from './picture-record.ts';
import type { PreparedFiles, ReadAt } from './prepared-files.ts';

/** A prepared picture as the bytes of its file. */
export interface WholePicture {
  readonly head: PictureHead;
  readonly file: Uint8Array;
}

export type PartName = 'main' | 'face' | 'hiddenFace';

/** Nothing is believed of a file whose checksum is wrong. What was right once is: nobody writes into a file later. */
export class KnownPicture {
  readonly key: string;
  readonly #files: PreparedFiles;
  #head: PictureHead | undefined;
  readonly #checked = new Set<PartName>();

  constructor(files: PreparedFiles, key: string) {
    this.#files = files;
    this.key = key;
  }

  get isThere(): boolean {
    return this.#files.has(this.key);
  }

  /**
   * Reads a part.
   * @param memoryFor gives as many bytes as the part has, or undefined when that number is wrong.
   * @returns the head, or undefined when the file is not there or damaged.
   */
  read(part: PartName, memoryFor: (head: PictureHead) => Uint8Array | undefined): PictureHead | undefined {
    return this.#files.read(this.key, (at) => {
      const head = this.#headOf(at);
      const into = head && memoryFor(head);
      if (head === undefined || into?.length !== head[part].byteLength) return undefined;
      if (at(into, head[part].start) !== into.length) return undefined;
      if (!this.#checked.has(part) && !isRight(head[part], into)) return undefined;
      this.#checked.add(part);
      return head;
    });
  }

  /** The whole file, if it is there and all of it is right. */
  readWhole(): WholePicture | undefined {
    return this.#files.read(this.key, (at) => {
      const head = this.#headOf(at);
      if (head === undefined) return undefined;
      const { main, face, hiddenFace } = head;
      const file = new Uint8Array(hiddenFace.start + hiddenFace.byteLength);
      if (at(file, 0) !== file.length) return undefined;
      const partOf = ({ start, byteLength }: PartPlace) => file.subarray(start, start + byteLength);
      return [main, face, hiddenFace].every((place) => isRight(place, partOf(place))) ? { head, file } : undefined;
    });
  }

  #headOf(at: ReadAt): PictureHead | undefined {
    if (this.#head !== undefined) return this.#head;
    const bytes = new Uint8Array(HEAD_BYTES);
    if (at(bytes, 0) === HEAD_BYTES) this.#head = readHead(bytes, this.key);
    return this.#head;
  }
}

function isRight({ crc }: PartPlace, bytes: Uint8Array): boolean {
  return crc32Of(bytes) === crc;
}
