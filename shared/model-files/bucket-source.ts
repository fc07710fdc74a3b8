import { FarmError } from '../errors/farm-error.ts';
import { Bucket } from '../s3/bucket.ts';
import type { BucketSettings } from '../s3/bucket-settings.ts';
import { shownAddress } from './address.ts';
import type { BegunFile, FolderEntry, OpenedFile, Source } from './source.ts';

/** Files in buckets. */
export class BucketSource implements Source {
  readonly #server: Omit<BucketSettings, 'bucket' | 'prefix'>;
  readonly #buckets = new Map<string, Bucket>();

  /** @param server where the buckets are: endpoint, region, style of paths. */
  constructor(server: Omit<BucketSettings, 'bucket' | 'prefix'>) {
    this.#server = server;
  }

  async open(
    address: string,
    known: string | undefined,
    begun: BegunFile | undefined,
    signal: AbortSignal,
  ): Promise<OpenedFile | undefined> {
    const { bucket, key } = this.#place(address);
    const facts = await bucket.head(key, signal).catch(unreachable);
    if (!facts) throw new FarmError('model_file_missing', `There is no ${shownAddress(address)}`);
    const { bytes, etag: tag } = facts;
    if (tag === known) return undefined;
    const from = begun?.tag === tag && begun.bytes < bytes ? begun.bytes : 0;
    const body = bucket.read(key, from > 0 ? { start: from, end: bytes - 1 } : undefined, signal);
    return { bytes, tag, from, body };
  }

  /** The files right under a prefix, by name. */
  async list(address: string, signal: AbortSignal): Promise<FolderEntry[]> {
    const { bucket, key: prefix } = this.#place(address);
    const entries: FolderEntry[] = [];
    try {
      for await (const { key, bytes, etag } of bucket.list(prefix, signal)) {
        const name = key.slice(prefix.length);
        if (name !== '' && !name.includes('/') && !name.startsWith('.')) {
          entries.push({ name, address: `${address}${encodeURIComponent(name)}`, bytes, tag: etag });
        }
      }
    } catch (error) {
      unreachable(error);
    }
    return entries;
  }

  #place(address: string): { bucket: Bucket; key: string } {
    const { hostname: name, pathname } = new URL(address);
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      bucket = new Bucket({ ...this.#server, bucket: name, prefix: '' });
      this.#buckets.set(name, bucket);
    }
    return { bucket, key: decodeURIComponent(pathname.slice(1)) };
  }
}

function unreachable(error: unknown): never {
  const fault = FarmError.from(error);
  if (fault.code !== 'storage_failed') throw error;
  throw new FarmError('model_unreachable', fault.message, { cause: error });
}
