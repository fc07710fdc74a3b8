import { type Dirent, existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { FarmError } from '../errors/farm-error.ts';
import { linkOnce } from '../farm/link-once.ts';
import { ignored } from '../process/unheard.ts';
import { GB, MINUTE_MS } from '../units.ts';

/** Files of models on this host, under their content, and under the addresses that they came from. */

const recordSchema = z.object({
  address: z.string(),
  /** Of a file, of an archive, or of the names and hashes of a folder. */
  sha256: z.string(),
  bytes: z.int(),
  /** As the server said; "": it said nothing. */
  tag: z.string(),
  /** When the server was last asked whether it is still this. */
  checkedAtMs: z.number(),
});
export type CacheRecord = z.infer<typeof recordSchema>;

const RECORD = '.record';
/** Models in memory are marked as used more often than that. */
const IN_USE_MS = 5 * MINUTE_MS;

/**
 * `objects/<sha256>` is a file or a folder, never changed; `names/<hash of the address>/<name>` leads there, and
 * `<name>.record` beside it says what it is; its time is when it was last used.
 */
export class ModelCache {
  readonly #dir: string;
  readonly #maxBytes: number;
  readonly #inUseMs: number;

  /**
   * @param dir made when something is put there.
   * @param maxBytes what it may hold.
   * @param inUseMs what was used within this time stays.
   */
  constructor(dir: string, maxBytes: number, inUseMs = IN_USE_MS) {
    this.#dir = dir;
    this.#maxBytes = maxBytes;
    this.#inUseMs = inUseMs;
  }

  /** What lies at a path of the cache; undefined when nothing does. */
  async find(file: string): Promise<CacheRecord | undefined> {
    const text = await readFile(file + RECORD, 'utf8').catch(ignored('it was not fetched yet', undefined));
    const record = recordSchema.safeParse(text === undefined ? undefined : parsed(text)).data;
    return record && existsSync(file) ? record : undefined;
  }

  /** Length of the file with this content; undefined when it is not here. */
  async sizeOf(sha256: string): Promise<number | undefined> {
    return await stat(this.#object(sha256)).then(({ size }) => size, ignored('it was not fetched yet', undefined));
  }

  /** Makes a path of the cache lead to `draft`, whole and in one step, or to the object of the same content that is there. */
  async keep(file: string, draft: string | undefined, record: CacheRecord, kind: 'file' | 'folder'): Promise<void> {
    const object = this.#object(record.sha256);
    await mkdir(path.dirname(object), { recursive: true });
    if (draft !== undefined && !existsSync(object)) {
      // Another process may have been quicker with the same content.
      await rename(draft, object).catch((error: Error) => (existsSync(object) ? undefined : Promise.reject(error)));
    }
    if (draft !== undefined) await rm(draft, { recursive: true, force: true });
    const next = `${file}.next`;
    await rm(next, { force: true });
    // A name of its own for a file: ONNX Runtime looks for weights beside where a link leads to.
    if (kind === 'file') await linkOnce(object, next);
    else await symlink(path.relative(path.dirname(file), object), next);
    await rename(next, file);
    await this.note(file, record);
  }

  /** Writes down what lies at a path, and that it is used now. */
  async note(file: string, record: CacheRecord): Promise<void> {
    const next = `${file}${RECORD}.next`;
    await writeFile(next, JSON.stringify(record));
    await rename(next, file + RECORD);
  }

  /** Marks what lies at a path as used now. */
  async touch(file: string): Promise<void> {
    const now = new Date();
    await utimes(file + RECORD, now, now).catch(ignored('it is not there any more', undefined));
  }

  /**
   * Removes what was used longest ago until there is room.
   * @throws FarmError `storage_full` when what models in memory use leaves too little.
   */
  async makeRoom(bytes: number): Promise<void> {
    const known = (await this.#all()).sort((a, b) => a.usedAtMs - b.usedAtMs);
    const sizes = new Map(known.map(({ sha256, bytes: size }) => [sha256, size]));
    let total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    for (const { folder, sha256 } of known) {
      if (total + bytes <= this.#maxBytes) break;
      const others = known.filter((other) => other.folder === folder);
      if (others.some(({ usedAtMs }) => Date.now() - usedAtMs < this.#inUseMs)) continue;
      await rm(folder, { recursive: true, force: true });
      total -= sizes.get(sha256) ?? 0;
      sizes.delete(sha256);
    }
    await this.#removeUnnamed();
    if (total + bytes <= this.#maxBytes) return;
    const [needs, has] = [total + bytes, this.#maxBytes].map((size) => `${(size / GB).toFixed(2)} GB`);
    const why = `Files of models would take ${needs} on this host, and models_from.cache_gb allows ${has}`;
    throw new FarmError('storage_full', `${why}; what lies there was used in the last minutes`);
  }

  async #all(): Promise<{ folder: string; sha256: string; bytes: number; usedAtMs: number }[]> {
    const names = path.join(this.#dir, 'names');
    const folders = await readdir(names).catch(ignored('nothing was fetched yet', [] as string[]));
    const found = folders.map(async (name) => {
      const folder = path.join(names, name);
      const files = await readdir(folder).catch(ignored('it was removed just now', [] as string[]));
      return await Promise.all(files.filter((file) => file.endsWith(RECORD)).map((file) => this.#used(folder, file)));
    });
    return (await Promise.all(found)).flat().filter((entry) => entry !== undefined);
  }

  async #used(folder: string, record: string) {
    const file = path.join(folder, record);
    const [found, facts] = await Promise.all([
      this.find(file.slice(0, -RECORD.length)),
      stat(file).catch(ignored('it was removed just now', undefined)),
    ]);
    return found && facts && { folder, sha256: found.sha256, bytes: found.bytes, usedAtMs: facts.mtimeMs };
  }

  /** Objects that no name leads to any more, but for those that were put there a moment ago. */
  async #removeUnnamed(): Promise<void> {
    const objects = path.join(this.#dir, 'objects');
    const entries = await readdir(objects, { withFileTypes: true }).catch(ignored('there are none', [] as Dirent[]));
    const named = new Set((await this.#all()).map(({ sha256 }) => sha256));
    for (const { name } of entries) {
      const object = path.join(objects, name);
      const facts = await stat(object).catch(ignored('another process has removed it', undefined));
      const isYoung = facts !== undefined && Date.now() - facts.mtimeMs < this.#inUseMs;
      if (!named.has(name) && !isYoung) await rm(object, { recursive: true, force: true });
    }
  }

  #object(sha256: string): string {
    return path.join(this.#dir, 'objects', sha256);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Cut off, as on a full disk: it is fetched again.
  }
}
