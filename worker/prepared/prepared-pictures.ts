/** The pictures of one avatar in their prepared forms: from memory, from their files, or prepared now. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { areaLayout } from '../compositor/area-layout.ts';
import type { PreparedPicture } from '../compositor/contract.ts';
import type { NetworkSize, Rect, RgbImage } from '../pipeline/contract.ts';
import type { PreparedAvatar, PreparedShare } from './contract.ts';
import type { WholePicture } from './known-picture.ts';
import { PictureKeys } from './picture-keys.ts';
import { bytesToTake, type PictureHead, readHead, takeMain } from './picture-record.ts';
import type { PicturesOptions } from './pictures-options.ts';
import { type FoundSources, noteHashes, type PictureOrder, readPicture, readSeenPicture } from './prepare-picture.ts';
import { noteUnwritable } from './prepared-files.ts';
import { yuvPlanes } from './prepared-planes.ts';

/** For each picture kept, on average: 523 pictures of 1280×720 take 97 MB at most; those of the benchmark 58. */
const KEPT_BYTES_PER_PIXEL = 0.2;
/** Small pictures take little memory, whatever is kept of them. */
const LEAST_KEPT_BYTES = 64 * 1024;

/**
 * Invariants: the same picture has the same bytes, wherever they come from. What is kept is never replaced: the walk
 * over the pictures goes to and fro, so all of them are needed equally often. No picture is prepared twice at the same
 * time. A file that is gone or damaged is written anew. A failure is not kept, so the next reader tries again.
 */
export class PreparedPictures implements PreparedAvatar {
  readonly #options: PicturesOptions;
  readonly keys: PictureKeys;
  readonly #isThere = new Set<number>();
  readonly #kept = new Map<number, PreparedPicture>();
  /** Pictures whose files could not be written. */
  readonly #unsaved = new Map<number, WholePicture>();
  readonly #preparing = new Map<number, Promise<WholePicture>>();
  #cachedBytes = 0;
  #withoutBackdrop: Promise<PreparedPictures> | undefined;

  private constructor(options: PicturesOptions) {
    this.#options = options;
    this.keys = new PictureKeys(options, (index) => this.order(index));
  }

  /** Finds out which pictures are prepared; their sources are not read where their hashes are remembered. */
  static async open(options: PicturesOptions): Promise<PreparedPictures> {
    const pictures = new PreparedPictures(options);
    const indices = Array.from({ length: options.avatar.frameCount }, (_, index) => index);
    await Promise.all(indices.map((index) => pictures.#findKey(index)));
    return pictures;
  }

  get frameCount(): number {
    return this.#options.avatar.frameCount;
  }

  get width(): number {
    return this.#options.avatar.size.width;
  }

  get height(): number {
    return this.#options.avatar.size.height;
  }

  get side(): NetworkSize {
    return this.#options.side;
  }

  get quality(): number {
    return this.#options.quality;
  }

  get share(): PreparedShare {
    return { done: this.#isThere.size, total: this.frameCount };
  }

  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  get hasHiddenFaces(): boolean {
    return this.#options.avatar.source(0).roi !== undefined;
  }

  /** Pictures without a file, by index. */
  get missing(): number[] {
    return Array.from({ length: this.frameCount }, (_, index) => index).filter((index) => !this.#isThere.has(index));
  }

  rect(index: number): Rect {
    return this.#options.avatar.rect(index);
  }

  async picture(index: number): Promise<PreparedPicture> {
    const kept = this.#kept.get(index);
    if (kept !== undefined) return kept;
    let main: Uint8Array | undefined;
    const head = this.keys.of(index)?.read('main', (found) => {
      main = this.#options.memory.forReading(found.main.byteLength);
      return main;
    });
    if (head !== undefined && main !== undefined) return this.#take(index, head, main);
    const { head: made, file } = await this.prepare(index);
    return this.#take(index, made, file.subarray(made.main.start, made.main.start + made.main.byteLength));
  }

  giveBack(picture: PreparedPicture): void {
    this.#options.memory.giveBack(picture);
  }

  async face(index: number, into: Uint8Array): Promise<void> {
    await this.#part(index, 'face', into);
  }

  async hiddenFace(index: number, into: Uint8Array): Promise<void> {
    await this.#part(index, 'hiddenFace', into);
  }

  async planes(index: number, into: Uint8Array): Promise<void> {
    await this.#options.planes.read(index, into);
  }

  async alpha(index: number, into: Uint8Array): Promise<void> {
    await this.#options.alpha.read(index, into);
  }

  get hasBackdrop(): boolean {
    return this.#options.backdrop !== undefined;
  }

  /** The same pictures with nothing behind them, for outputs that keep their alpha. */
  withoutBackdrop(): Promise<PreparedPictures> {
    const { backdrop: _, ...options } = this.#options;
    if (!this.hasBackdrop) return Promise.resolve(this);
    const planes = options.planes.ofKind(yuvPlanes());
    this.#withoutBackdrop ??= PreparedPictures.open({ ...options, planes, cachedFrames: 1 });
    return this.#withoutBackdrop;
  }

  /** Pixels of background `index` as they are seen in front of the backdrop, the caller's own. Only if `hasBackdrop`. */
  async inFront(index: number): Promise<RgbImage> {
    const { backdrop } = this.#options;
    if (!backdrop) throw new RangeError('these pictures have no backdrop');
    return await readSeenPicture(this.order(index), backdrop);
  }

  /**
   * What is to be done to prepare picture `index`, for another process.
   * @throws RangeError for an index outside the avatar.
   */
  order(index: number): PictureOrder {
    const { avatar, side, quality, backdrop } = this.#options;
    const { size, blend = 'none' } = avatar;
    const recipe = { rect: avatar.rect(index), side, quality, blend };
    return { index, source: avatar.source(index), size, ...recipe, backdrop: backdrop?.source };
  }

  /** Whether picture `index` is there by now, although nobody has told of it: another worker may have prepared it. */
  isThereByNow(index: number): boolean {
    const known = this.keys.of(index);
    if (known?.isThere) this.#isThere.add(index);
    return this.#isThere.has(index);
  }

  /** Notes that another process has prepared picture `index`. */
  async note(index: number, found: FoundSources): Promise<void> {
    await noteHashes(this.#options.hashes, this.#options.avatar.source(index), found);
    this.keys.know(index, found.key);
    this.#isThere.add(index);
  }

  /** The key of picture `index`, a hash of all that its bytes depend on; undefined until its files have been read. */
  keyOf(index: number): string | undefined {
    return this.keys.of(index)?.key;
  }

  /** Marks its files as used, for retention. */
  async touch(): Promise<void> {
    for (let index = 0; index < this.frameCount; index++) {
      const known = this.keys.of(index);
      if (known !== undefined) await this.#options.files.touch(known.key);
    }
    await this.#options.planes.touch();
    await this.#options.alpha.touch();
  }

  /** Remembers what the sources hash to, for the next time. */
  async saveHashes(): Promise<void> {
    await this.#options.hashes.save().catch(noteUnwritable(this.#options.files.folder));
  }

  /** Prepares picture `index` now, unless its file is there. */
  async prepare(index: number): Promise<WholePicture> {
    const running = this.#preparing.get(index);
    if (running !== undefined) return await running;
    const started = this.#prepare(index).finally(() => this.#preparing.delete(index));
    this.#preparing.set(index, started);
    return await started;
  }

  /** Reads pictures into memory, from the first one on, until no more of them are kept. */
  async fill(): Promise<void> {
    for (let index = 0; index < this.frameCount; index++) {
      if (!this.#hasRoomFor(1)) return;
      await this.picture(index);
    }
  }

  async #prepare(index: number): Promise<WholePicture> {
    const unsaved = this.#unsaved.get(index);
    if (unsaved !== undefined) return unsaved;
    const { compositor } = this.#options;
    const order = this.order(index);
    const read = await readPicture(order, this.#options.backdrops);
    await noteHashes(this.#options.hashes, order.source, read);
    const known = this.keys.know(index, read.key);
    const present = known.readWhole();
    if (present !== undefined) {
      this.#isThere.add(index);
      return present;
    }
    const file = await read.prepare(compositor);
    const head = readHead(file, read.key);
    if (head === undefined) throw new FarmError('internal', `the prepared form of picture ${index} has no head`);
    await this.#save(index, { head, file }, read.key);
    return { head, file };
  }

  /** Writes a picture's file; where it cannot be written, what was made is kept in memory as far as there is room. */
  async #save(index: number, whole: WholePicture, key: string): Promise<void> {
    try {
      await this.#options.files.write(key, whole.file);
      this.#isThere.add(index);
    } catch (fault) {
      noteUnwritable(this.#options.files.folder)(fault);
      if (!this.#hasRoomFor(whole.file.length)) return;
      this.#unsaved.set(index, whole);
      this.#cachedBytes += whole.file.length;
    }
  }

  async #part(index: number, name: 'face' | 'hiddenFace', into: Uint8Array): Promise<void> {
    if (this.keys.of(index)?.read(name, () => into)) return;
    const { head, file } = await this.prepare(index);
    const { start, byteLength } = head[name];
    if (byteLength !== into.length) throw new RangeError(`${name} has ${byteLength} bytes, not ${into.length}`);
    into.set(file.subarray(start, start + byteLength));
  }

  #hasRoomFor(byteLength: number): boolean {
    const { cachedFrames } = this.#options;
    const share = Math.max(LEAST_KEPT_BYTES, this.width * this.height * KEPT_BYTES_PER_PIXEL);
    const count = this.#kept.size + this.#unsaved.size;
    return count < cachedFrames && this.#cachedBytes + byteLength <= cachedFrames * share;
  }

  /** Copies what frames need of a picture to where all threads see it. @param main the part of its file. */
  #take(index: number, head: PictureHead, main: Uint8Array): PreparedPicture {
    const { avatar, memory: spare } = this.#options;
    const rect = this.rect(index);
    const area = areaLayout(avatar.size, rect, head.weightBytes > 0);
    const byteLength = bytesToTake(head, area);
    const isKept = this.#hasRoomFor(byteLength) && !this.#kept.has(index);
    const memory = isKept ? new SharedArrayBuffer(byteLength) : spare.take(byteLength);
    const picture = { ...avatar.size, quality: this.quality, rect, ...takeMain(head, main, area, memory) };
    if (isKept) {
      this.#kept.set(index, picture);
      this.#cachedBytes += byteLength;
    } else {
      spare.lend(picture, memory);
    }
    return picture;
  }

  async #findKey(index: number): Promise<void> {
    const known = await this.keys.find(index);
    if (known && this.isThereByNow(index)) await this.#options.files.touch(known.key);
  }
}
