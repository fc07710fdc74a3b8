import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { artifactKeys } from '../artifacts/keys.ts';
import type { ResumableUploads } from '../artifacts/resumable-uploads.ts';
import type { ArtifactStore, ByteRange, CheckOut, LocalFiles, OpenFile, StoredFile } from '../artifacts/store.ts';
import { writeFault } from '../artifacts/write-fault.ts';
import { FarmError } from '../errors/farm-error.ts';
import { progressNoter } from '../process/progress.ts';
import { logged } from '../process/unheard.ts';
import type { RenderFolder } from '../retention/leftover.ts';
import type { AnswerHeaders, Bucket } from './bucket.ts';
import { foldersOf } from './bucket-folders.ts';
import { inParallel } from './in-parallel.ts';
import { LastingCopies } from './lasting-copies.ts';
import { MultipartUploads } from './multipart.ts';
import { openObject } from './object-file.ts';
import type { WorkFolder } from './work-folder.ts';

/** Objects that go up or down at once, of those that belong together: frames, pictures, segments. */
const AT_ONCE = 16;
/** How long a store that was seen to work is taken to work. */
const PROBED_FOR_MS = 15_000;
/** An address is to outlive a download on a slow line. */
const ADDRESS_LIFETIME_S = 3600;

/**
 * Files of renders in a bucket. What is being written, and what programs of others read, lies for as long in a working
 * folder of this host. An object appears whole and replaces another one in one step; a folder goes object by object.
 */
export class S3Artifacts implements ArtifactStore {
  readonly resumable: ResumableUploads;
  readonly #bucket: Bucket;
  readonly #work: WorkFolder;
  #workedAtMs = Number.NEGATIVE_INFINITY;
  readonly #lasting = new LastingCopies((keys, folder, signal) => this.#copyOut(keys, [folder], signal));

  constructor(bucket: Bucket, work: WorkFolder) {
    this.#bucket = bucket;
    this.resumable = new MultipartUploads(bucket);
    this.#work = work;
  }

  async publish<T>(key: string, write: (path: string) => Promise<T>): Promise<T> {
    checkKey(key);
    await using folder = await this.#work.open();
    // The name stays as it is: ffmpeg chooses the container by its extension.
    const draft = path.join(folder.path, path.posix.basename(key));
    try {
      const result = await write(draft);
      await this.#bucket.upload(key, draft);
      return result;
    } catch (error) {
      throw writeFault(key, error);
    }
  }

  async put(key: string, content: Uint8Array | string): Promise<void> {
    await this.#bucket.put(checkKey(key), typeof content === 'string' ? Buffer.from(content) : content);
  }

  async receive(key: string, content: Readable, through: Duplex): Promise<void> {
    checkKey(key);
    await pipeline(content, through, (bytes: AsyncIterable<Uint8Array>) => this.#bucket.receive(key, bytes));
  }

  async publishFolder<T>(key: string, write: (folder: string) => Promise<T>): Promise<T> {
    checkKey(key);
    await using folder = await this.#work.open();
    const draft = path.join(folder.path, path.posix.basename(key));
    const result = await write(draft);
    const files = (await readdir(draft, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const progressed = progressNoter();
    await inParallel(files, AT_ONCE, async ({ parentPath, name }) => {
      const place = path.join(parentPath, name);
      await this.#bucket.upload(`${key}/${path.relative(draft, place).split(path.sep).join('/')}`, place);
      progressed();
    });
    return result;
  }

  async checkOut(keys: readonly string[], { folders = [], signal }: CheckOut = {}): Promise<LocalFiles> {
    for (const key of [...keys, ...folders]) checkKey(key);
    const [folder] = folders;
    // A folder is for many who come one after the other, each for a part of it.
    if (folder !== undefined && folders.length === 1) return await this.#lasting.take(folder, keys, signal);
    return await this.#copyOut(keys, folders, signal);
  }

  async open(key: string): Promise<OpenFile> {
    return await openObject(this.#bucket, checkKey(key));
  }

  async size(key: string): Promise<number | undefined> {
    return (await this.#bucket.head(checkKey(key)))?.bytes;
  }

  async contents(key: string): Promise<Buffer | undefined> {
    return await this.#bucket.contents(checkKey(key));
  }

  read(key: string, range?: ByteRange): Readable {
    return this.#bucket.read(checkKey(key), range);
  }

  async *list(folder: string): AsyncGenerator<StoredFile> {
    checkKey(folder);
    for await (const { key, bytes, modifiedMs } of this.#bucket.list(`${folder}/`)) {
      yield { key, bytes, quietMs: this.#bucket.nowMs() - modifiedMs };
    }
  }

  async touch(key: string): Promise<void> {
    await this.#bucket.copy(checkKey(key), key);
  }

  async copy(from: string, to: string): Promise<boolean> {
    return await this.#bucket.copy(checkKey(from), checkKey(to));
  }

  async remove(key: string): Promise<void> {
    const keys = [checkKey(key)];
    for await (const { key: inner } of this.#bucket.list(`${key}/`)) keys.push(inner);
    // A result is one no more before its parts go: should this end in between, nobody takes them for a render.
    const isReceipt = (name: string) => path.posix.basename(name) === path.posix.basename(artifactKeys.receipt(''));
    await this.#bucket.remove([...keys.filter(isReceipt), ...keys.filter((name) => !isReceipt(name))]);
  }

  /** Requests cost money: what has worked is not tried again for a while. */
  async probe(): Promise<void> {
    if (performance.now() - this.#workedAtMs < PROBED_FOR_MS) return;
    const key = `.probe-${randomUUID()}`;
    const content = Buffer.from(key);
    await this.#bucket.put(key, content);
    const found = await this.#bucket.contents(key);
    await this.#bucket.remove([key]);
    if (found?.equals(content)) {
      this.#workedAtMs = performance.now();
      return;
    }
    const what = found ? 'other bytes than were' : 'nothing of what was';
    throw new FarmError('storage_failed', `The bucket "${this.#bucket.settings.bucket}" gives ${what} just written`);
  }

  async renderFolders(): Promise<RenderFolder[]> {
    return await foldersOf(this.list('renders'));
  }

  async addressOf(key: string, answer: AnswerHeaders): Promise<string> {
    return await this.#bucket.addressOf(checkKey(key), answer, ADDRESS_LIFETIME_S);
  }

  async #copyOut(
    keys: readonly string[],
    folders: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<LocalFiles> {
    const all = [...keys];
    for (const folder of folders) for await (const { key } of this.#bucket.list(`${folder}/`, signal)) all.push(key);
    const folder = await this.#work.open();
    const place = (key: string) => path.join(folder.path, checkKey(key));
    const stays = logged('could not remove a working copy; it goes when a process of the farm starts');
    const progressed = progressNoter();
    try {
      const dirs = new Set([...folders.map(place), ...all.map((key) => path.dirname(place(key)))]);
      for (const dir of dirs) await mkdir(dir, { recursive: true });
      await inParallel(all, AT_ONCE, async (key) => {
        const bytes = this.#bucket.read(key, undefined, signal);
        bytes.on('data', progressed);
        await pipeline(bytes, createWriteStream(place(key)));
      });
    } catch (error) {
      await rm(folder.path, { recursive: true, force: true }).catch(stays);
      throw writeFault(keys[0] ?? String(folders), error);
    }
    return { path: place, [Symbol.asyncDispose]: () => rm(folder.path, { recursive: true, force: true }).catch(stays) };
  }
}

/** The same key. RangeError for one that is none: as with a folder, it must not lead out of the store. */
function checkKey(key: string): string {
  const isKey = key !== '' && path.posix.normalize(key) === key && !/^(?:\/|\.\.?(?:\/|$))/.test(key);
  if (!isKey) throw new RangeError(`Artifact key leaves the store: ${key}`);
  return key;
}
