import { once } from 'node:events';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import path from 'node:path';
import { pipeline, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { FarmError } from '../errors/farm-error.ts';
import { ignored } from '../process/unheard.ts';
import { GrowingRoom, type MakeRoom } from './growing-room.ts';

/** Files of a .tar, .tar.gz or .tgz → a folder: ustar, with the long names of GNU and of POSIX. */

const BLOCK_BYTES = 512;
const FILE_TYPES = new Set(['0', '\0', '']);
const GNU_LONG_NAME = 'L';
const POSIX_HEADER = 'x';
/** More than any name takes. */
const MOST_NAME_BYTES = 64 * 1024;

interface Entry {
  readonly name: string;
  readonly bytes: number;
  readonly type: string;
}

/**
 * Writes the files of an archive into a folder, by their last names: of folders in it nothing is kept. Links and devices
 * are passed over.
 * @param makeRoom called with the bytes of all files so far, before they have grown by much; what it throws is thrown.
 * @returns the bytes of all files.
 * @throws FarmError `model_unusable`: it is no such archive, it is cut off, or two files have the same name.
 */
export async function untar(
  archive: string,
  folder: string,
  isPacked: boolean,
  makeRoom: MakeRoom = async () => {},
): Promise<number> {
  const blocks = new Blocks(isPacked ? unpacked(archive) : createReadStream(archive));
  const room = new GrowingRoom(makeRoom);
  const names = new Set<string>();
  let longName: string | undefined;
  try {
    for (let entry = await nextEntry(blocks); entry; entry = await nextEntry(blocks)) {
      if (entry.type === GNU_LONG_NAME || entry.type === POSIX_HEADER) {
        if (entry.bytes > MOST_NAME_BYTES) throw new RangeError('a name in it is too long');
        const text = (await blocks.take(entry.bytes)).toString();
        longName = entry.type === GNU_LONG_NAME ? text.replace(/\0.*$/s, '') : (posixName(text) ?? longName);
        continue;
      }
      const name = path.posix.basename(longName ?? entry.name);
      longName = undefined;
      if (!FILE_TYPES.has(entry.type) || name.startsWith('.')) await blocks.skip(entry.bytes);
      else {
        if (names.has(name)) throw new RangeError(`two files in it are named ${name}`);
        names.add(name);
        await room.grow(entry.bytes);
        await writeEntry(blocks, entry.bytes, path.join(folder, name));
      }
    }
    return room.bytes;
  } catch (error) {
    if (error instanceof FarmError || (error as NodeJS.ErrnoException).syscall !== undefined) throw error;
    throw new FarmError('model_unusable', `${archive} is no archive that can be read: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    blocks.close();
  }
}

/** Each closes, and fails, with the other. */
function unpacked(archive: string): Readable {
  return pipeline(createReadStream(archive), createGunzip(), ignored('whoever reads it is told'));
}

async function nextEntry(blocks: Blocks): Promise<Entry | undefined> {
  const head = await blocks.head();
  if (head === undefined || head.every((byte) => byte === 0)) return undefined;
  const text = (from: number, to: number) => head.toString('utf8', from, to).replace(/\0.*$/s, '');
  const sum = head.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (Number.parseInt(text(148, 156).trim(), 8) !== sum) throw new RangeError('the sum of a header is wrong');
  const prefix = text(257, 262) === 'ustar' ? text(345, 500) : '';
  const name = [prefix, text(0, 100)].filter((part) => part !== '').join('/');
  const bytes = Number.parseInt(text(124, 136).trim(), 8);
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`the size of ${name} cannot be read`);
  return { name, bytes, type: head.toString('latin1', 156, 157) };
}

/** "30 path=frames/a.jpg\n…" */
function posixName(text: string): string | undefined {
  return /^\d+ path=(.*)$/m.exec(text)?.[1];
}

async function writeEntry(blocks: Blocks, bytes: number, file: string): Promise<void> {
  const out: WriteStream = createWriteStream(file);
  const ended = finished(out);
  ended.catch(ignored('it is awaited below'));
  for await (const piece of blocks.pieces(bytes)) {
    if (!out.write(piece)) await Promise.race([once(out, 'drain'), ended]);
  }
  out.end();
  await ended;
}

/** A stream in blocks of 512 bytes; what an entry holds is filled up to whole blocks. */
class Blocks {
  readonly #stream: Readable;
  readonly #iterator: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#iterator = stream[Symbol.asyncIterator]();
  }

  /** The next block; undefined at the end. */
  async head(): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    for await (const piece of this.#read(BLOCK_BYTES)) pieces.push(piece);
    const head = Buffer.concat(pieces);
    if (head.length > 0 && head.length < BLOCK_BYTES) throw new RangeError('it ends in the middle of a header');
    return head.length === 0 ? undefined : head;
  }

  async take(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for await (const piece of this.pieces(bytes)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async skip(bytes: number): Promise<void> {
    for await (const _ of this.pieces(bytes));
  }

  /** So many bytes, and what fills up their last block is passed over. */
  async *pieces(bytes: number): AsyncGenerator<Buffer> {
    let left = bytes;
    for await (const piece of this.#read(Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES)) {
      if (left > 0) yield piece.subarray(0, left);
      left -= Math.min(left, piece.length);
    }
    if (left > 0) throw new RangeError('it ends in the middle of a file');
  }

  close(): void {
    this.#stream.destroy();
  }

  async *#read(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      if (this.#held.length === 0) {
        const { value, done } = await this.#iterator.next();
        if (done) return;
        this.#held = value;
      }
      const piece = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }
}
