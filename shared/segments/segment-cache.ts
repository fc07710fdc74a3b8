import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Redis } from 'ioredis';
import { keptKeys } from '../artifacts/keys.ts';
import type { ArtifactStore } from '../artifacts/store.ts';
import { count } from '../metrics/tally.ts';
import { GB } from '../units.ts';
import {
  bytesOf,
  ENTRY_NAME,
  entryText,
  type KeptEntry,
  type KeptFacts,
  type KeptFile,
  keptEntrySchema,
} from './kept-entry.ts';
import { KeptIndex } from './kept-index.ts';

/** Where the files of a segment are in a render, by the names under which they are kept. */
export interface SegmentFiles {
  /** Without one of these there is no segment. */
  readonly needed: ReadonlyMap<string, string>;
  /** What another render may have no use for, or not have. */
  readonly besides: ReadonlyMap<string, string>;
}

/** `damaged`: something was kept, and not as it was. It is kept no more. */
export type Found = { readonly outcome: 'hit'; readonly facts: KeptFacts } | { readonly outcome: 'miss' | 'damaged' };

/**
 * Segments that are kept for later renders, under a key of all that their bytes depend on. An entry is whole or not
 * there; every file is compared with its hash before it is used.
 */
export class SegmentCache {
  readonly #artifacts: ArtifactStore;
  readonly #index: KeptIndex;
  readonly mostBytes: number;

  /** @param mostGb storage.segment_cache_gb; 0: nothing is kept. */
  constructor(redis: Redis, artifacts: ArtifactStore, mostGb: number) {
    this.#artifacts = artifacts;
    this.#index = new KeptIndex(redis);
    this.mostBytes = Math.floor(mostGb * GB);
  }

  get isOn(): boolean {
    return this.mostBytes > 0;
  }

  /**
   * Puts the files of a kept segment where a render has them. Nothing is left there unless it is a hit.
   * @throws FarmError `storage_failed` when the store cannot be read or written; what Redis throws.
   */
  async restore(key: string, files: SegmentFiles): Promise<Found> {
    const entry = await this.#read(key);
    if (typeof entry === 'string') return await this.#without(key, entry);
    const kept = new Map(entry.files.map((file) => [file.name, file]));
    const wanted = [...files.needed, ...[...files.besides].filter(([name]) => kept.has(name))];
    for (const [name, target] of wanted) {
      if (await this.#restoreFile(key, kept.get(name), target)) continue;
      for (const [, each] of wanted) await this.#artifacts.remove(each);
      return await this.#without(key, 'damaged');
    }
    await this.#remove(await this.#index.note(key, bytesOf(entry), this.mostBytes));
    return { outcome: 'hit', facts: entry.facts };
  }

  /**
   * Keeps a segment that was rendered. Others go for it, the least recently used first.
   * @throws FarmError `storage_failed`, `storage_full`; what Redis throws.
   */
  async keep(key: string, files: SegmentFiles, facts: KeptFacts): Promise<void> {
    const hashed: (KeptFile & { readonly from: string })[] = [];
    for (const [name, from] of [...files.needed, ...files.besides]) {
      if ((await this.#artifacts.size(from)) === undefined && files.besides.has(name)) continue;
      hashed.push({ name, from, ...(await hashOf(this.#artifacts.read(from))) });
    }
    if (bytesOf({ files: hashed }) > this.mostBytes) return;
    for (const { name, from } of hashed) {
      // The render was removed meanwhile.
      if (await this.#artifacts.copy(from, keptKeys.file(key, name))) continue;
      return await this.#artifacts.remove(keptKeys.segment(key));
    }
    const kept = hashed.map(({ from: _, ...file }) => file);
    const entry = entryText(kept, facts);
    await this.#artifacts.put(keptKeys.file(key, ENTRY_NAME), entry);
    await this.#remove(await this.#index.note(key, bytesOf({ files: kept }), this.mostBytes));
  }

  /** Has entries go until no more is kept than may be, and so many bytes less. @returns how many went. */
  async shrink(freeBytes = 0): Promise<number> {
    const gone = await this.#index.evict(this.mostBytes, freeBytes);
    await this.#remove(gone);
    return gone.length;
  }

  /** Has entries go, whatever the index says of them. */
  async drop(keys: readonly string[]): Promise<void> {
    await this.#index.forget(keys);
    for (const key of keys) await this.#artifacts.remove(keptKeys.segment(key));
  }

  /** Removes all that is kept. */
  async clear(): Promise<void> {
    await this.#index.forgetAll();
    await this.#artifacts.remove(keptKeys.all);
  }

  get index(): KeptIndex {
    return this.#index;
  }

  async #read(key: string): Promise<KeptEntry | 'miss' | 'damaged'> {
    const content = await this.#artifacts.contents(keptKeys.file(key, ENTRY_NAME));
    if (content === undefined) return 'miss';
    try {
      return keptEntrySchema.parse(JSON.parse(content.toString()));
    } catch {
      return 'damaged'; // Or of another version: in each case it is rendered again.
    }
  }

  async #restoreFile(key: string, file: KeptFile | undefined, target: string): Promise<boolean> {
    if (!file || !(await this.#artifacts.copy(keptKeys.file(key, file.name), target))) return false;
    // What is compared is what the render gets, whatever happens to the entry meanwhile.
    const { bytes, sha256 } = await hashOf(this.#artifacts.read(target));
    return bytes === file.bytes && sha256 === file.sha256;
  }

  async #without(key: string, outcome: 'miss' | 'damaged'): Promise<Found> {
    if (outcome === 'damaged') await this.drop([key]);
    return { outcome };
  }

  /** The index has forgotten them already. */
  async #remove(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#artifacts.remove(keptKeys.segment(key));
    count('farm_segments_evicted_total', {}, keys.length);
  }
}

async function hashOf(content: Readable): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of content as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
