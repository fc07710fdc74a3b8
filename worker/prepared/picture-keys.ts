import { KnownPicture } from './known-picture.ts';
import { pictureKey } from './picture-key.ts';
import type { PicturesOptions } from './pictures-options.ts';
import { findHashes, noteHashes, type PictureOrder, readPicture } from './prepare-picture.ts';

/** The keys of an avatar's pictures, as far as they are known: hashes of all that the pictures' bytes depend on. */
export class PictureKeys {
  readonly #options: Pick<PicturesOptions, 'avatar' | 'hashes' | 'files' | 'backdrop' | 'backdrops'>;
  readonly #orderOf: (index: number) => PictureOrder;
  readonly #known: (KnownPicture | undefined)[];
  #changes = 0;

  constructor(
    options: Pick<PicturesOptions, 'avatar' | 'hashes' | 'files' | 'backdrop' | 'backdrops'>,
    orderOf: (index: number) => PictureOrder,
  ) {
    this.#options = options;
    this.#orderOf = orderOf;
    this.#known = Array.from({ length: options.avatar.frameCount });
  }

  /** Pictures that there are. */
  get count(): number {
    return this.#known.length;
  }

  /** Grows whenever a key becomes known, or another one. */
  get changes(): number {
    return this.#changes;
  }

  /** Of all pictures, in their order; undefined while one of them is not known. */
  get all(): readonly string[] | undefined {
    const keys = this.#known.flatMap((known) => (known ? [known.key] : []));
    return keys.length === this.#known.length ? keys : undefined;
  }

  /** Undefined until the files of picture `index` have been read. */
  of(index: number): KnownPicture | undefined {
    return this.#known[index];
  }

  /** @param key that picture `index` has. */
  know(index: number, key: string): KnownPicture {
    const known = this.#known[index];
    if (known?.key === key) return known;
    const now = new KnownPicture(this.#options.files, key);
    this.#known[index] = now;
    this.#changes += 1;
    return now;
  }

  /** Finds the key of picture `index` without reading its files, where their hashes are remembered. */
  async find(index: number): Promise<KnownPicture | undefined> {
    const key = await this.#presentKey(index);
    return key === undefined ? undefined : this.know(index, key);
  }

  /**
   * Reads the files of picture `index` for its key, unless that is known.
   * @throws FarmError `model_unusable` naming the file that cannot be read.
   */
  async learn(index: number): Promise<void> {
    if (this.#known[index] !== undefined) return;
    const order = this.#orderOf(index);
    const read = await readPicture(order, this.#options.backdrops);
    await noteHashes(this.#options.hashes, order.source, read);
    this.know(index, read.key);
  }

  /** Whether the files of picture `index` are still those that its key was made of. */
  async isUnchanged(index: number): Promise<boolean> {
    const present = await this.#presentKey(index);
    return present !== undefined && present === this.#known[index]?.key;
  }

  async #presentKey(index: number): Promise<string | undefined> {
    const { hashes, avatar, backdrop } = this.#options;
    const found = await findHashes(hashes, avatar.source(index));
    return found && pictureKey(found, this.#orderOf(index), backdrop?.id);
  }
}
