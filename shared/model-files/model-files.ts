import { rm } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../errors/farm-error.ts';
import { holdLock } from '../files/folder-lock.ts';
import { externalFilesOf } from '../onnx/external-files.ts';
import { ignored } from '../process/unheard.ts';
import { isArchive, type RemoteFile, shownAddress } from './address.ts';
import { BucketSource } from './bucket-source.ts';
import { type CacheRecord, ModelCache } from './cache.ts';
import { fetchInto } from './fetch.ts';
import { fetchFolder } from './fetch-folder.ts';
import { type HttpRules, HttpSource } from './http-source.ts';
import type { Source } from './source.ts';

/** Files of models that lie at addresses: fetched into this host's cache, once for all of its processes. */

export interface ModelFilesOptions extends HttpRules {
  readonly cacheDir: string;
  readonly maxBytes: number;
  /** Where buckets are. */
  readonly server: ConstructorParameters<typeof BucketSource>[0];
  /** What was used within this time stays in the cache. */
  readonly inUseMs?: number;
  /** A server that was asked within this time need not be asked again. */
  readonly checkedForMs?: number;
}

/** How far a fetch is; `total` is undefined where no server says. */
export interface Progress {
  readonly bytes: number;
  readonly total: number | undefined;
}

export interface EnsureOptions {
  readonly signal: AbortSignal;
  /** Asks the server whether what is here is still the same; else only what is missing is fetched. */
  readonly asksAgain?: boolean;
  /** Called with bytes that came, and bytes that are known to come. */
  readonly onProgress?: (came: number, expected: number) => void;
  /** Told when a server cannot be asked, and what is here is used. */
  readonly onStale?: (fault: FarmError) => void;
}

const CHECKED_FOR_MS = 2000;

export class ModelFiles {
  readonly #cache: ModelCache;
  readonly #http: Source;
  readonly #buckets: BucketSource;
  readonly #checkedForMs: number;

  constructor({ cacheDir, maxBytes, inUseMs, checkedForMs, server, ...rules }: ModelFilesOptions) {
    this.#checkedForMs = checkedForMs ?? CHECKED_FOR_MS;
    this.#cache = new ModelCache(cacheDir, maxBytes, inUseMs);
    this.#http = new HttpSource(rules);
    this.#buckets = new BucketSource(server);
  }

  /** Whether all of them are here, whatever their servers have by now. */
  async areHere(files: readonly RemoteFile[]): Promise<boolean> {
    const found = await Promise.all(files.map(async (file) => (await this.#findWhole(file)) !== undefined));
    return found.every((isHere) => isHere);
  }

  /** Marks files as used, so that they stay in the cache. */
  async touch(files: readonly RemoteFile[]): Promise<void> {
    await Promise.all(files.map(({ path: place }) => this.#cache.touch(place)));
  }

  /**
   * Has the files here, one after the other; of several processes on this host one fetches, and the others wait for it.
   * @returns whether anything that was here before is another one now.
   * @throws FarmError `model_file_missing`, `model_hash_differs`, `model_unreachable`, `address_refused`, `storage_full`,
   * `model_unusable` for an archive that cannot be read; `signal.reason` once that is aborted.
   */
  async ensure(files: readonly RemoteFile[], options: EnsureOptions): Promise<boolean> {
    let hasChanged = false;
    for (const file of files) hasChanged = (await this.#ensureOne(file, options)) || hasChanged;
    return hasChanged;
  }

  async #ensureOne(file: RemoteFile, options: EnsureOptions): Promise<boolean> {
    if (await this.#isSettled(file, options)) return false;
    await using _ = await holdLock(path.join(path.dirname(file.path), 'lock'), options.signal);
    // Another process may have fetched it meanwhile.
    if (await this.#isSettled(file, options)) return false;
    const before = await this.#findWhole(file);
    try {
      return (await this.#bring(file, before, options)) && before !== undefined;
    } catch (error) {
      const fault = FarmError.from(error);
      if (before === undefined || fault.code !== 'model_unreachable') throw error;
      options.onStale?.(fault);
      return false;
    }
  }

  /** Whether nobody needs to be asked. */
  async #isSettled(file: RemoteFile, { asksAgain = false }: EnsureOptions): Promise<boolean> {
    const record = await this.#findWhole(file);
    if (!record) return false;
    await this.#cache.touch(file.path);
    return !asksAgain || file.sha256 !== undefined || Date.now() - record.checkedAtMs < this.#checkedForMs;
  }

  /** What is known of a file, if its weights are here as well. */
  async #findWhole(file: RemoteFile): Promise<CacheRecord | undefined> {
    const record = await this.#cache.find(file.path);
    if (!record || file.kind !== 'network') return record;
    const beside = await Promise.all((await weightsOf(file)).map((weights) => this.#cache.find(weights.path)));
    return beside.every((found) => found !== undefined) ? record : undefined;
  }

  /** @returns whether it is another one now. */
  async #bring(file: RemoteFile, before: CacheRecord | undefined, options: EnsureOptions): Promise<boolean> {
    if (file.kind === 'folder') return await this.#bringFolder(file, before, options);
    const changed = await this.#bringFile(file, before, options);
    if (file.kind !== 'network') return changed;
    let weightsChanged = false;
    for (const weights of await weightsOf(file)) {
      const known = await this.#cache.find(weights.path);
      weightsChanged = (await this.#bringFile(weights, known, options)) || weightsChanged;
    }
    return changed || weightsChanged;
  }

  async #bringFile(file: RemoteFile, before: CacheRecord | undefined, options: EnsureOptions): Promise<boolean> {
    const { address, sha256, path: place } = file;
    const bytes = sha256 === undefined ? undefined : await this.#cache.sizeOf(sha256);
    if (sha256 !== undefined && bytes !== undefined) {
      await this.#cache.keep(place, undefined, { address, sha256, bytes, tag: '', checkedAtMs: Date.now() }, 'file');
      return before?.sha256 !== sha256;
    }
    const draft = `${place}.draft`;
    const fetched = await fetchInto(draft, address, this.#fetchOptions(address, before?.tag, options));
    const checkedAtMs = Date.now();
    if (fetched === undefined) {
      if (before) await this.#cache.note(place, { ...before, checkedAtMs });
      return false;
    }
    await refuseOther(file, fetched.sha256, draft);
    await this.#cache.keep(place, draft, { address, ...fetched, checkedAtMs }, 'file');
    return before?.sha256 !== fetched.sha256;
  }

  async #bringFolder(file: RemoteFile, before: CacheRecord | undefined, options: EnsureOptions): Promise<boolean> {
    const { address, path: place } = file;
    const draft = `${place}.draft`;
    const tools = {
      ...this.#fetchOptions(address, before?.tag, options),
      list: (prefix: string) => this.#buckets.list(prefix, options.signal),
    };
    const fetched = await fetchFolder(draft, address, { ...tools, isArchive: isArchive(address) });
    const checkedAtMs = Date.now();
    if (fetched === undefined) {
      if (before) await this.#cache.note(place, { ...before, checkedAtMs });
      return false;
    }
    await refuseOther(file, fetched.sha256, draft);
    await this.#cache.keep(place, fetched.folder, { address, ...fetched, checkedAtMs }, 'folder');
    await rm(draft, { recursive: true, force: true });
    return before?.sha256 !== fetched.sha256;
  }

  #fetchOptions(address: string, known: string | undefined, { signal, onProgress }: EnsureOptions) {
    return {
      source: address.toLowerCase().startsWith('s3:') ? this.#buckets : this.#http,
      ...{ signal, known },
      onBegin: async (bytes: number | undefined) => {
        onProgress?.(0, bytes ?? 0);
        await this.#cache.makeRoom(bytes ?? 0);
      },
      makeRoom: (bytes: number) => this.#cache.makeRoom(bytes),
      onBytes: (bytes: number) => onProgress?.(bytes, 0),
    };
  }
}

async function refuseOther({ key, address, sha256 }: RemoteFile, found: string, draft: string): Promise<void> {
  if (sha256 === undefined || sha256 === found) return;
  await rm(draft, { recursive: true, force: true });
  const message = `${key}: ${shownAddress(address)} hashes to ${found}, and the configuration expects ${sha256}`;
  throw new FarmError('model_hash_differs', message);
}

/** The files with weights that a fetched network names, at addresses beside its own. */
async function weightsOf({ key, address, path: place }: RemoteFile): Promise<RemoteFile[]> {
  const folder = path.dirname(place);
  const files = await externalFilesOf(place).catch(ignored('whoever opens it says what is wrong with it', []));
  return files.map((weights) => {
    const name = path.relative(folder, weights);
    if (name !== path.basename(weights) || name.startsWith('.')) {
      const why = `keeps weights in "${name}", which is not beside it`;
      throw new FarmError('model_unusable', `${shownAddress(address)} ${why}`);
    }
    const beside = new URL(encodeURIComponent(name), address).href;
    return { key, address: beside, sha256: undefined, kind: 'file', path: weights };
  });
}
