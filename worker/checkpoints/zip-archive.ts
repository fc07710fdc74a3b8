/** The container that PyTorch ≥ 1.6 writes: a zip archive, zip64, whose entries are stored as they are. */

import { type FileBytes, requireChecksum } from './file-bytes.ts';
import { Unreadable } from './unreadable.ts';

export interface ZipEntry {
  readonly name: string;
  /** Where its local header is. */
  readonly headerAt: number;
  readonly byteLength: number;
  /** As it is, not compressed. */
  readonly stored: boolean;
  readonly crc32: number;
}

/** Signatures and sizes of the format's records, less the parts of varying length. */
const LOCAL = { signature: 0x04034b50, size: 30 };
const CENTRAL = { signature: 0x02014b50, size: 46 };
const END = { signature: 0x06054b50, size: 22 };
const LOCATOR_64 = { signature: 0x07064b50, size: 20 };
const END_64 = { signature: 0x06064b50, size: 56 };
const ZIP64_FIELD = 1;
/** Stands in 32 bits for a number that is in the zip64 field. */
const IN_FIELD = 0xffffffff;
const MAX_COMMENT = 0xffff;
const ENCRYPTED = 1;
const STORED = 0;
/** A network has hundreds of entries, with its optimiser a thousand or two. */
const MAX_ENTRIES = 100_000;
const MAX_DIRECTORY = 16 << 20;

export class ZipArchive {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  readonly #file: FileBytes;

  private constructor(file: FileBytes, entries: ReadonlyMap<string, ZipEntry>) {
    this.#file = file;
    this.entries = entries;
  }

  /** @throws Unreadable when its directory is not whole. */
  static async open(file: FileBytes): Promise<ZipArchive> {
    const { start, byteLength, count } = await findDirectory(file);
    if (count > MAX_ENTRIES || byteLength > MAX_DIRECTORY)
      throw new Unreadable(`its zip directory has ${count} entries`);
    const bytes = await file.read(start, byteLength);
    const entries = new Map<string, ZipEntry>();
    let at = 0;
    for (let index = 0; index < count; index++) {
      const { entry, end } = entryAt(bytes, at);
      if (entries.has(entry.name)) throw new Unreadable(`its zip directory names "${entry.name}" twice`);
      entries.set(entry.name, entry);
      at = end;
    }
    return new ZipArchive(file, entries);
  }

  /** The bytes of an entry. @throws Unreadable when they are not whole, not those that were written, or compressed. */
  async read(entry: ZipEntry): Promise<Buffer<ArrayBuffer>> {
    if (!entry.stored) throw new Unreadable(`"${entry.name}" in it is compressed, which PyTorch does not do`);
    const header = await this.#file.read(entry.headerAt, LOCAL.size);
    if (header.readUInt32LE(0) !== LOCAL.signature) {
      throw new Unreadable(`"${entry.name}" is not where its zip directory says`);
    }
    const start = entry.headerAt + LOCAL.size + header.readUInt16LE(26) + header.readUInt16LE(28);
    const bytes = await this.#file.read(start, entry.byteLength);
    requireChecksum(bytes, entry.crc32, `"${entry.name}"`);
    return bytes;
  }
}

interface Directory {
  readonly start: number;
  readonly byteLength: number;
  readonly count: number;
}

/** The end record stands last, before a comment of any length. */
async function findDirectory(file: FileBytes): Promise<Directory> {
  const tailLength = Math.min(file.size, END.size + MAX_COMMENT);
  const tailAt = file.size - tailLength;
  const tail = await file.read(tailAt, tailLength);
  for (let at = tail.length - END.size; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END.signature || at + END.size + tail.readUInt16LE(at + 20) !== tail.length) continue;
    const found = (await findDirectory64(file, tailAt + at)) ?? {
      count: tail.readUInt16LE(at + 10),
      byteLength: tail.readUInt32LE(at + 12),
      start: tail.readUInt32LE(at + 16),
    };
    if (found.start + found.byteLength > tailAt + at) throw new Unreadable('its zip directory lies outside it');
    return found;
  }
  throw new Unreadable('it was cut off: it begins as a zip archive and has no zip directory at its end');
}

/** With zip64, whose locator stands right before the end record. */
async function findDirectory64(file: FileBytes, endAt: number): Promise<Directory | undefined> {
  if (endAt < LOCATOR_64.size) return undefined;
  const locator = await file.read(endAt - LOCATOR_64.size, LOCATOR_64.size);
  if (locator.readUInt32LE(0) !== LOCATOR_64.signature) return undefined;
  const record = await file.read(numberAt(locator, 8), END_64.size);
  if (record.readUInt32LE(0) !== END_64.signature) throw new Unreadable('its zip64 record is not where it should be');
  return { count: numberAt(record, 32), byteLength: numberAt(record, 40), start: numberAt(record, 48) };
}

function entryAt(bytes: Buffer, at: number): { entry: ZipEntry; end: number } {
  const fixedEnd = at + CENTRAL.size;
  if (fixedEnd > bytes.length || bytes.readUInt32LE(at) !== CENTRAL.signature) {
    throw new Unreadable('its zip directory is damaged');
  }
  const nameEnd = fixedEnd + bytes.readUInt16LE(at + 28);
  const extraEnd = nameEnd + bytes.readUInt16LE(at + 30);
  const end = extraEnd + bytes.readUInt16LE(at + 32);
  if (end > bytes.length) throw new Unreadable('its zip directory is damaged');
  const name = bytes.toString('utf8', fixedEnd, nameEnd);
  if ((bytes.readUInt16LE(at + 8) & ENCRYPTED) !== 0) throw new Unreadable(`"${name}" in it is encrypted`);
  const stored = bytes.readUInt16LE(at + 10) === STORED;
  const zip64 = zip64Numbers(bytes.subarray(nameEnd, extraEnd));
  const number = (place: number) => {
    const value = bytes.readUInt32LE(place);
    return value === IN_FIELD ? (zip64.shift() ?? value) : value;
  };
  // In the order in which the zip64 field has those that it has.
  const byteLength = number(at + 24);
  const storedLength = number(at + 20);
  const headerAt = number(at + 42);
  if (stored && byteLength !== storedLength) throw new Unreadable(`"${name}" in it has two sizes`);
  return { entry: { name, headerAt, byteLength, stored, crc32: bytes.readUInt32LE(at + 16) }, end };
}

function zip64Numbers(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) break;
    if (extra.readUInt16LE(at) === ZIP64_FIELD) {
      return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, index) => numberAt(extra, at + 4 + index * 8));
    }
    at = end;
  }
  return [];
}

function numberAt(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Unreadable('a number in its zip records is too large');
  return Number(value);
}
