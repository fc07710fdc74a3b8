import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, type Dirent } from 'node:fs';
import {
  access,
  copyFile,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FarmError } from '../errors/farm-error.ts';
import { ifMissing, ignored } from '../process/unheard.ts';
import type { RenderFolder } from '../retention/leftover.ts';
import { readFolders } from '../retention/stored-folders.ts';
import { openLocalFile } from './local-file.ts';
import type { ArtifactStore, ByteRange, CheckOut, LocalFiles, OpenFile, StoredFile } from './store.ts';
import { writeFault } from './write-fault.ts';

/** Files under a folder that all processes of the farm share. */
export class LocalArtifacts implements ArtifactStore {
  readonly resumable = undefined;
  readonly #root: string;

  constructor(root: string) {
    this.#root = path.resolve(root);
  }

  async publish<T>(key: string, write: (path: string) => Promise<T>): Promise<T> {
    const target = this.localPath(key);
    const { dir, name, ext } = path.parse(target);
    // The extension must stay last: ffmpeg chooses the container by it.
    const draft = path.join(dir, `.${name}.${randomUUID()}${ext}`);
    try {
      await mkdir(dir, { recursive: true });
      const result = await write(draft);
      await rename(draft, target);
      return result;
    } catch (error) {
      await rm(draft, { force: true }).catch(ignored('what is wrong is said by the error before it'));
      throw writeFault(key, error);
    }
  }

  async copy(from: string, to: string): Promise<boolean> {
    const [source, target] = [this.localPath(from), this.localPath(to)];
    const draft = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}`);
    try {
      await mkdir(path.dirname(target), { recursive: true });
      await linkOrCopy(source, draft);
      await rename(draft, target);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && (await this.size(from)) === undefined) return false;
      throw writeFault(to, error);
    } finally {
      // Of two names of one file, rename() leaves both.
      await rm(draft, { force: true }).catch(ignored('a hidden file, which retention removes'));
    }
  }

  async put(key: string, content: Uint8Array | string): Promise<void> {
    await this.publish(key, (draft) => writeFile(draft, content));
  }

  async receive(key: string, content: Readable, through: Duplex): Promise<void> {
    await this.publish(key, (draft) => pipeline(content, through, createWriteStream(draft)));
  }

  async publishFolder<T>(key: string, write: (folder: string) => Promise<T>): Promise<T> {
    return await write(this.localPath(key));
  }

  async checkOut(keys: readonly string[], { folders = [] }: CheckOut = {}): Promise<LocalFiles> {
    for (const key of [...keys, ...folders]) await access(this.localPath(key)).catch(throwUnreadable(key));
    return { path: (key) => this.localPath(key), [Symbol.asyncDispose]: async () => {} };
  }

  async open(key: string): Promise<OpenFile> {
    return await openLocalFile(this.localPath(key)).catch(throwUnreadable(key));
  }

  /** Where the file lies; it may not exist. */
  localPath(key: string): string {
    const target = path.resolve(this.#root, key);
    if (!target.startsWith(this.#root + path.sep)) throw new RangeError(`Artifact key leaves the store: ${key}`);
    return target;
  }

  async size(key: string): Promise<number | undefined> {
    const found = await stat(this.localPath(key)).catch(ifMissing());
    return found?.isFile() ? found.size : undefined;
  }

  async contents(key: string): Promise<Buffer | undefined> {
    return await readFile(this.localPath(key)).catch(ifMissing());
  }

  read(key: string, range?: ByteRange): Readable {
    return createReadStream(this.localPath(key), range ?? {});
  }

  async *list(folder: string): AsyncGenerator<StoredFile> {
    const top = this.localPath(folder);
    const nowMs = Date.now();
    for (const entry of await readdir(top, { recursive: true, withFileTypes: true }).catch(ifMissing<Dirent[]>([]))) {
      const place = path.join(entry.parentPath, entry.name);
      const found = entry.isFile() ? await stat(place).catch(ifMissing()) : undefined;
      const key = path.relative(this.#root, place).split(path.sep).join('/');
      if (found) yield { key, bytes: found.size, quietMs: nowMs - found.mtimeMs };
    }
  }

  async touch(key: string): Promise<void> {
    const now = new Date();
    await utimes(this.localPath(key), now, now).catch(ifMissing());
  }

  async remove(key: string): Promise<void> {
    const target = this.localPath(key);
    const found = await stat(target).catch(ignored('what cannot be seen is removed as a file, which says why'));
    if (!found?.isDirectory()) return await rm(target, { force: true });
    // It is gone in one step: should this process die meanwhile, what is left has a hidden name.
    const { dir, base } = path.parse(target);
    const aside = path.join(dir, `.${base}.${randomUUID()}`);
    await rename(target, aside).catch((error: NodeJS.ErrnoException) => {
      // Another process has removed it.
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(aside, { recursive: true, force: true });
  }

  async probe(): Promise<void> {
    const file = this.localPath(`.probe-${process.pid}`);
    try {
      await writeFile(file, 'x');
      await rm(file);
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'it fails';
      throw new FarmError('storage_failed', `storage.root cannot be written to: ${why}`, { cause: error });
    }
  }

  async renderFolders(): Promise<RenderFolder[]> {
    return await readFolders(this.#root);
  }

  async addressOf(): Promise<undefined> {
    return undefined;
  }
}

/** Where a file cannot have two names (another disk, a drive without links, too many of them) it is copied. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    await copyFile(from, to);
  }
}

/** For a file that another process should have written. */
function throwUnreadable(key: string): (error: Error) => never {
  return (error) => {
    throw new FarmError('storage_failed', `Could not read ${key}: ${error.message}`, { cause: error });
  };
}
