import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { GB } from '../units.ts';

/** Asking the disk takes no time, but a network drive that hangs may. */
const ASK_AGAIN_AFTER_MS = 1000;

/**
 * The part of the disk that new work must leave free, so that renders that run can end, and Redis can write its file.
 */
export class DiskReserve {
  readonly reserveBytes: number;
  readonly #root: string;
  readonly #name: string;
  #asked: { readonly atMs: number; readonly freeBytes: Promise<number | undefined> } | undefined;

  /**
   * @param folder on the disk, or to be made there.
   * @param reserveGb limits.disk_reserve_gb; 0: none.
   * @param name of the folder's key in the configuration.
   */
  constructor(folder: string, reserveGb: number, name = 'storage.root') {
    this.#root = path.resolve(folder);
    this.#name = name;
    this.reserveBytes = reserveGb * GB;
  }

  /**
   * FarmError('storage_full') when new work would go below the reserve.
   * @param bytes that the work is known to need.
   */
  async refuseIfShort(bytes = 0): Promise<void> {
    const freeBytes = await this.#freeBytes();
    if (this.reserveBytes === 0 || freeBytes === undefined || freeBytes - bytes >= this.reserveBytes) return;
    const needed = bytes > 0 ? `, and this needs ${inGb(bytes)} GB` : '';
    throw new FarmError(
      'storage_full',
      `The disk of ${this.#name} has ${inGb(freeBytes)} GB free${needed}; limits.disk_reserve_gb keeps ${inGb(this.reserveBytes)} GB`,
    );
  }

  /** Bytes that would have to be freed for the reserve; 0 where nobody can say. */
  async missingBytes(): Promise<number> {
    const freeBytes = await this.#freeBytes();
    return freeBytes === undefined ? 0 : Math.max(0, this.reserveBytes - freeBytes);
  }

  /** Undefined where nobody can say. */
  async #freeBytes(): Promise<number | undefined> {
    const nowMs = performance.now();
    if (!this.#asked || nowMs - this.#asked.atMs > ASK_AGAIN_AFTER_MS) {
      this.#asked = { atMs: nowMs, freeBytes: freeBytesOf(this.#root) };
    }
    return await this.#asked.freeBytes;
  }
}

/** Of the disk that a folder is on, or will be on once it is made. */
async function freeBytesOf(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    // Any other fault is told to whoever writes there.
    return isMissing && path.dirname(folder) !== folder ? await freeBytesOf(path.dirname(folder)) : undefined;
  }
}

function inGb(bytes: number): string {
  return (bytes / GB).toFixed(2);
}
