import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ignored } from '../../shared/process/unheard.ts';

const run = promisify(execFile);
const BLOCK = Buffer.alloc(256 * 1024);
const SMALLEST_BYTES = 4096;
const TOP_UP_EVERY_MS = 20;
const TRY_EVERY_MS = 10;
const READ_ONLY_WITHIN_MS = 5000;

/** A file system of its own, small enough to be filled, which can be made read-only: a mounted tmpfs. */
export class SmallDisk implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined where this process may not mount. */
  static async mount(megabytes: number): Promise<SmallDisk | undefined> {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-disk-'));
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
      return new SmallDisk(folder);
    } catch {
      await rm(folder, { recursive: true }); // It takes root, which says all.
      return undefined;
    }
  }

  /** Fills it, and keeps it full whatever is removed, until the function that it returns is called. */
  async fill(): Promise<() => Promise<void>> {
    const ending = new AbortController();
    const ballast = path.join(this.folder, '.ballast');
    await topUp(ballast);
    const kept = (async () => {
      while (!ending.signal.aborted) {
        await topUp(ballast);
        await delay(TOP_UP_EVERY_MS, undefined, { signal: ending.signal }).catch(ignored('it is over'));
      }
    })();
    return async () => {
      ending.abort();
      await kept;
      await rm(ballast, { force: true });
    };
  }

  /** Makes it read-only, as soon as no file is open for writing; the function that it returns undoes that. */
  async makeReadOnly(): Promise<() => Promise<void>> {
    const givesUpAtMs = performance.now() + READ_ONLY_WITHIN_MS;
    while (!(await this.#remount('ro')) && performance.now() < givesUpAtMs) await delay(TRY_EVERY_MS);
    return async () => {
      await run('mount', ['-o', 'remount,rw', this.folder]);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['-l', this.folder]);
    await rm(this.folder, { recursive: true });
  }

  async #remount(how: string): Promise<boolean> {
    return await run('mount', ['-o', `remount,${how}`, this.folder]).then(
      () => true,
      () => false, // Busy.
    );
  }
}

/** Appends until there is no room for a page. Does nothing on a file system that is read-only. */
async function topUp(ballast: string): Promise<void> {
  const file = await open(ballast, 'a').catch(ignored('there is no room, or nobody may write'));
  if (!file) return;
  try {
    for (let size = BLOCK.length; size >= SMALLEST_BYTES; ) {
      const written = await file.write(BLOCK.subarray(0, size)).catch(ignored('there is no room for so much'));
      if (!written?.bytesWritten) size /= 2;
    }
  } finally {
    await file.close();
  }
}
