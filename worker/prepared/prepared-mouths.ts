/** The mouths of silence of one model, a file for each picture, beside the prepared pictures. */

import { createHash } from 'node:crypto';
import { unexpected } from '../../shared/process/unheard.ts';
import { FARM_VERSION } from '../../shared/version.ts';
import { crc32Of } from './picture-record.ts';
import { noteUnwritable, type PreparedFiles } from './prepared-files.ts';
import type { PreparedPictures } from './prepared-pictures.ts';

/** Ends the names of files of mouths. */
export const MOUTHS_SUFFIX = '.mouth';
const KEY_DIGITS = 32;
/** After the mouth: its checksum, little-endian. */
const TAIL_BYTES = 4;

/** What a mouth of silence depends on besides its picture. */
export interface MouthRecipe {
  /** SHA-256 of the network's and the encoder's file. */
  readonly networks: readonly string[];
  /** Execution providers differ in the last bits. */
  readonly provider: string;
}

export class PreparedMouths {
  readonly #files: PreparedFiles;
  readonly #pictures: Pick<PreparedPictures, 'keyOf'>;
  readonly #recipe: MouthRecipe;
  /** Of the files that were read, and marked as used for retention. */
  readonly #used = new Set<string>();

  constructor(files: PreparedFiles, pictures: Pick<PreparedPictures, 'keyOf'>, recipe: MouthRecipe) {
    this.#files = files;
    this.#pictures = pictures;
    this.#recipe = recipe;
  }

  /** Fills `into` with the mouth of picture `index`, if it is there and whole. */
  read(index: number, into: Uint8Array): boolean {
    const key = this.#keyOf(index);
    if (key === undefined) return false;
    const tail = new Uint8Array(TAIL_BYTES);
    const isThere = this.#files.read(key, (at) => {
      if (at(into, 0) !== into.length || at(tail, into.length) !== TAIL_BYTES) return undefined;
      return Buffer.compare(tail, tailOf(into)) === 0 || undefined;
    });
    if (isThere && !this.#used.has(key)) {
      this.#used.add(key);
      this.#files.touch(key).catch(unexpected);
    }
    return isThere ?? false;
  }

  /** Keeps a mouth. Never rejects: one that cannot be kept is made again. */
  async write(index: number, mouth: Uint8Array): Promise<void> {
    const key = this.#keyOf(index);
    if (key === undefined) return;
    const bytes = new Uint8Array(mouth.length + TAIL_BYTES);
    bytes.set(mouth);
    bytes.set(tailOf(mouth), mouth.length);
    await this.#files.write(key, bytes).catch(noteUnwritable(this.#files.folder));
  }

  #keyOf(index: number): string | undefined {
    const picture = this.#pictures.keyOf(index);
    if (picture === undefined) return undefined;
    const { networks, provider } = this.#recipe;
    const all = JSON.stringify(['mouth', FARM_VERSION, picture, ...networks, provider]);
    return createHash('sha256').update(all).digest('hex').slice(0, KEY_DIGITS);
  }
}

function tailOf(mouth: Uint8Array): Uint8Array {
  const tail = new DataView(new ArrayBuffer(TAIL_BYTES));
  tail.setUint32(0, crc32Of(mouth), true);
  return new Uint8Array(tail.buffer);
}
