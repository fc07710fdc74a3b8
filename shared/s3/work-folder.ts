import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { makeDataFolder } from '../files/data-folder.ts';
import { ifMissing, logged } from '../process/unheard.ts';
import { DAY_MS } from '../units.ts';

const FOLDER = 'work';
/** `<host>.<process>.<uuid>`, so that others see whose it is. */
const NAME = /^(?<host>.+)\.(?<pid>\d+)\.[0-9a-f-]{36}$/;

/**
 * `work` under storage.root: where a process keeps what it is writing for a bucket, or has fetched from it. Each piece of
 * work has a folder of its own, which goes with it; those of processes that were killed go when another one begins.
 */
export class WorkFolder {
  readonly #root: string;
  readonly #storageRoot: string;
  #tidied: Promise<void> | undefined;

  constructor(storageRoot: string) {
    this.#storageRoot = storageRoot;
    this.#root = path.join(storageRoot, FOLDER);
  }

  /** A new empty folder, until it is disposed of. FarmError: `storage_full`, `storage_failed`. */
  async open(): Promise<{ readonly path: string } & AsyncDisposable> {
    this.#tidied ??= this.#tidy().catch(logged('could not remove what killed processes left in storage.root/work'));
    await this.#tidied;
    const folder = path.join(this.#root, `${hostname()}.${process.pid}.${randomUUID()}`);
    try {
      await makeDataFolder(this.#storageRoot);
      await mkdir(folder, { recursive: true });
    } catch (error) {
      const { code, message } = FarmError.from(error, 'storage_failed');
      throw new FarmError(code, `Could not work in ${this.#root}: ${message}`, { cause: error });
    }
    return { path: folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
  }

  async #tidy(): Promise<void> {
    for (const name of await readdir(this.#root).catch(ifMissing<string[]>([]))) {
      const folder = path.join(this.#root, name);
      const { host, pid } = NAME.exec(name)?.groups ?? {};
      const quietMs = Date.now() - ((await stat(folder).catch(ifMissing()))?.mtimeMs ?? 0);
      // In a container that was started anew this process may have the number of the one before.
      const isOfOneBefore = Number(pid) === process.pid && quietMs > process.uptime() * 1000;
      const isOfNobody = host === hostname() && (isOfOneBefore || !isAlive(Number(pid)));
      if (isOfNobody || quietMs > DAY_MS) await rm(folder, { recursive: true, force: true });
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
