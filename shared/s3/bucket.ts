import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { progressNoter } from '../process/progress.ts';
import { MB } from '../units.ts';
import { bucketFault, isMissing, passesByItself } from './bucket-fault.ts';
import type { BucketSettings } from './bucket-settings.ts';
import { loadS3, makeS3Client, type S3Module } from './client.ts';
import { type ObjectRange, type PartWanted, readUnbroken } from './unbroken-read.ts';

/** What is known of an object without reading it. */
export interface ObjectFacts {
  readonly key: string;
  readonly bytes: number;
  /** As the server gives it: another one for other bytes. */
  readonly etag: string;
  readonly modifiedMs: number;
}

export interface BucketOptions {
  /** How long a request is tried again for what passes by itself. */
  readonly patienceMs?: number;
}

/** Headers of the answer at a presigned address. */
export interface AnswerHeaders {
  readonly contentType: string;
  readonly disposition: string;
}

/** What a request is made with. */
interface Call {
  readonly client: S3Client;
  readonly s3: S3Module;
  /** For each call of `client.send`. */
  readonly http: { readonly abortSignal?: AbortSignal };
}

const PATIENCE_MS = 10_000;
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 2000;
/** A larger file goes up in parts, a few at once: so much memory an upload, whatever the file has. */
const PART_BYTES = 8 * MB;
const PARTS_AT_ONCE = 3;
const KEYS_A_REMOVAL = 1000;

/**
 * One bucket, or what lies in it under a prefix. Keys are those below the prefix. The client is made with the first
 * request. Everything that throws throws FarmError: see `bucketFault`.
 */
export class Bucket {
  readonly settings: BucketSettings;
  readonly #patienceMs: number;
  #client: Promise<S3Client> | undefined;
  #offsetMs = () => 0;

  constructor(settings: BucketSettings, { patienceMs = PATIENCE_MS }: BucketOptions = {}) {
    this.settings = settings;
    this.#patienceMs = patienceMs;
  }

  /** Undefined when there is no such object. */
  async head(key: string, signal?: AbortSignal): Promise<ObjectFacts | undefined> {
    return await this.request(`Could not look for ${key}`, signal, async ({ client, s3, http }) => {
      const found = await client.send(new s3.HeadObjectCommand(this.place(key)), http).catch(ifMissingObject);
      if (!found) return undefined;
      const { ContentLength: bytes = 0, ETag: etag = '', LastModified: modified } = found;
      return { key, bytes, etag, modifiedMs: modified?.getTime() ?? 0 };
    });
  }

  /**
   * The bytes of an object, or [start, end] of them, both inclusive. A connection that breaks is made again where it
   * broke; should the object be another one by then, the stream fails.
   */
  read(key: string, range?: ObjectRange, signal?: AbortSignal): Readable {
    return Readable.from(this.#chunks(key, range, signal), { objectMode: false });
  }

  /** All bytes of a small object; undefined when there is none. */
  async contents(key: string, signal?: AbortSignal): Promise<Buffer | undefined> {
    return await this.request(`Could not read ${key}`, signal, async ({ client, s3, http }) => {
      const found = await client.send(new s3.GetObjectCommand(this.place(key)), http).catch(ifMissingObject);
      return found?.Body && Buffer.from(await found.Body.transformToByteArray());
    });
  }

  /**
   * Writes a small object, in one step.
   * @returns false when there is one already and `ifAbsent` was asked for; servers that do not know it replace it.
   */
  async put(
    key: string,
    body: Uint8Array,
    { ifAbsent = false, signal }: { readonly ifAbsent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<boolean> {
    return await this.request(`Could not write ${key}`, signal, async ({ client, s3, http }) => {
      const only = ifAbsent ? { IfNoneMatch: '*' } : {};
      const command = new s3.PutObjectCommand({ ...this.place(key), ...only, Body: body, ContentLength: body.length });
      const sent = client.send(command, http).then(() => true);
      return await (ifAbsent ? sent.catch(ifRefused) : sent);
    });
  }

  /** Uploads a file, which does not change meanwhile; the object is there whole, or as it was before. */
  async upload(key: string, path: string, signal?: AbortSignal): Promise<void> {
    const { size } = await stat(path);
    if (size <= PART_BYTES) {
      await this.put(key, await readFile(path), signal ? { signal } : {});
      return;
    }
    const { Upload } = await import('@aws-sdk/lib-storage');
    const progressed = progressNoter();
    await this.request(`Could not write ${key}`, signal, async ({ client }) => {
      const params = { ...this.place(key), Body: createReadStream(path, { highWaterMark: MB }) };
      const upload = new Upload({ client, params, partSize: PART_BYTES, queueSize: PARTS_AT_ONCE });
      upload.on('httpUploadProgress', progressed);
      const stop = () => upload.abort();
      signal?.addEventListener('abort', stop, { once: true });
      await upload.done().finally(() => signal?.removeEventListener('abort', stop));
    });
  }

  /** Uploads bytes as they come. What they fail with is thrown as it is; what they were is not asked for again. */
  async receive(key: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    const noted = async function* () {
      try {
        yield* bytes;
      } catch (error) {
        failure = { error };
        throw error;
      }
    };
    const { Upload } = await import('@aws-sdk/lib-storage');
    const send = async ({ client }: Call) => {
      const params = { ...this.place(key), Body: Readable.from(noted(), { objectMode: false }) };
      await new Upload({ client, params, partSize: PART_BYTES, queueSize: PARTS_AT_ONCE }).done();
    };
    await this.request(`Could not write ${key}`, undefined, send, 0).catch((error: unknown) => {
      throw failure ? failure.error : error;
    });
  }

  /** All objects whose keys begin with `prefix`, page by page, in the order of their keys. */
  async *list(prefix: string, signal?: AbortSignal): AsyncGenerator<ObjectFacts> {
    const { bucket } = this.settings;
    for (let token: string | undefined, last = false; !last; ) {
      const page = await this.request(`Could not list ${prefix}`, signal, ({ client, s3, http }) =>
        client.send(
          new s3.ListObjectsV2Command({ Bucket: bucket, Prefix: this.place(prefix).Key, ContinuationToken: token }),
          http,
        ),
      );
      for (const { Key = '', Size: bytes = 0, ETag: etag = '', LastModified: modified } of page.Contents ?? []) {
        yield { key: this.below(Key), bytes, etag, modifiedMs: modified?.getTime() ?? 0 };
      }
      token = page.NextContinuationToken;
      last = !page.IsTruncated || token === undefined;
    }
  }

  /** Removes objects; those that are not there are none. */
  async remove(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    for (let start = 0; start < keys.length; start += KEYS_A_REMOVAL) {
      const some = keys.slice(start, start + KEYS_A_REMOVAL);
      await this.request(`Could not remove ${some[0]}`, signal, async ({ client, s3, http }) => {
        const Delete = { Objects: some.map((key) => ({ Key: this.place(key).Key })), Quiet: true };
        const command = new s3.DeleteObjectsCommand({ Bucket: this.settings.bucket, Delete });
        const { Errors: [error] = [] } = await client.send(command, http);
        if (error) throw Object.assign(new Error(error.Message), { name: error.Code ?? 'Error' });
      });
    }
  }

  /**
   * Writes an object anew from another one of the bucket, without reading it; onto itself, it is of now. False when
   * there is no `from`.
   */
  async copy(from: string, to: string, signal?: AbortSignal): Promise<boolean> {
    const { bucket } = this.settings;
    const source = [bucket, ...this.place(from).Key.split('/')].map(encodeURIComponent).join('/');
    return await this.request(`Could not copy ${from}`, signal, async ({ client, s3, http }) => {
      const command = { ...this.place(to), CopySource: source, MetadataDirective: 'REPLACE' } as const;
      const copied = await client.send(new s3.CopyObjectCommand(command), http).catch(ifMissingObject);
      return copied !== undefined;
    });
  }

  /**
   * An address at which anybody may read an object for some time, without credentials.
   * @param answer what its answer shall say of it.
   */
  async addressOf(key: string, answer: AnswerHeaders, lifetimeS: number): Promise<string> {
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
    return await this.request(`Could not sign the address of ${key}`, undefined, async ({ client, s3 }) => {
      const headers = { ResponseContentType: answer.contentType, ResponseContentDisposition: answer.disposition };
      const command = new s3.GetObjectCommand({ ...this.place(key), ...headers });
      return await getSignedUrl(client, command, { expiresIn: lifetimeS, signingDate: new Date(this.nowMs()) });
    });
  }

  /**
   * Makes a request, and again for what passes by itself until `patienceMs` are over.
   * @param what was not done if it fails, as the begin of a sentence.
   * @param make must do the same when it is called again.
   */
  async request<T>(
    what: string,
    signal: AbortSignal | undefined,
    make: (call: Call) => Promise<T>,
    patienceMs = this.#patienceMs,
  ): Promise<T> {
    const deadlineMs = performance.now() + patienceMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        signal?.throwIfAborted();
        this.#client ??= makeS3Client(this.settings).then((client) => {
          this.#offsetMs = () => client.config.systemClockOffset;
          return client;
        });
        const http = signal ? { abortSignal: signal } : {};
        return await make({ client: await this.#client, s3: await loadS3(), http });
      } catch (error) {
        signal?.throwIfAborted();
        const isOver = performance.now() + pauseMs > deadlineMs;
        if (isOver || !passesByItself(error)) throw bucketFault(error, what, this.settings);
      }
      await delay(pauseMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  /** Now, by the clock of the server if this host's is wrong by minutes: as far as answers have told. */
  nowMs(): number {
    return Date.now() + this.#offsetMs();
  }

  /** What names an object in a request. */
  place(key: string): { readonly Bucket: string; readonly Key: string } {
    const { bucket, prefix } = this.settings;
    return { Bucket: bucket, Key: prefix ? `${prefix}/${key}` : key };
  }

  /** The key below the prefix, of one as the server knows it. */
  below(key: string): string {
    const { prefix } = this.settings;
    return prefix ? key.slice(prefix.length + 1) : key;
  }

  async *#chunks(key: string, range: ObjectRange | undefined, signal: AbortSignal | undefined) {
    const what = `Could not read ${key}`;
    const ask = async (wanted: PartWanted) =>
      await this.request(what, signal, ({ client, s3, http }) =>
        client.send(new s3.GetObjectCommand({ ...this.place(key), ...wanted }), http),
      );
    try {
      yield* readUnbroken(ask, range, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw bucketFault(error, what, this.settings);
    }
  }
}

function ifMissingObject(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** A precondition that was not met: another writer was sooner. */
function ifRefused(error: unknown): false {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  if ($metadata?.httpStatusCode === 412 || $metadata?.httpStatusCode === 409) return false;
  throw error;
}
