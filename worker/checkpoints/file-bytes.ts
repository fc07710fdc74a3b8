import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { openFile } from '../../shared/files/regular-file.ts';
import { Unreadable } from './unreadable.ts';

/** Reads an open file piece by piece: a checkpoint has hundreds of megabytes, of which a network needs a part. */
export class FileBytes implements AsyncDisposable {
  readonly size: number;
  readonly #file: FileHandle;

  private constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** @throws the file system's error; Error for what is no file. */
  static async open(path: string): Promise<FileBytes> {
    const file = await openFile(path);
    try {
      return new FileBytes(file, (await file.stat()).size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** @throws Unreadable when the file ends before. */
  async read(start: number, length: number): Promise<Buffer<ArrayBuffer>> {
    if (!Number.isSafeInteger(start) || start < 0 || length < 0 || start + length > this.size) {
      throw new Unreadable(
        `it was cut off: it has ${this.size} bytes, and ${length} are expected from byte ${start} on`,
      );
    }
    const bytes = Buffer.alloc(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, start + done);
      if (bytesRead === 0) throw new Unreadable('it became shorter while it was read');
      done += bytesRead;
    }
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** @throws Unreadable when `bytes` have another CRC-32 than was written with them. */
export function requireChecksum(bytes: Uint8Array, expected: number, what: string): void {
  if (crc32(bytes) !== expected) throw new Unreadable(`${what} in it is damaged: its checksum is another`);
}
