import type { ResumableUploads, UploadPart } from '../artifacts/resumable-uploads.ts';
import type { Bucket } from './bucket.ts';
import { isMissing } from './bucket-fault.ts';

const ADDRESS_LIFETIME_S = 3600;

/** Uploads of clients into a bucket, in parts that each has an address of its own. */
export class MultipartUploads implements ResumableUploads {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async begin(key: string): Promise<string> {
    return await this.#bucket.request(`Could not begin an upload of ${key}`, undefined, async ({ client, s3 }) => {
      const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(this.#bucket.place(key)));
      if (UploadId) return UploadId;
      throw new Error('The server gave the upload no id');
    });
  }

  async addressOf(key: string, uploadId: string, part: number): Promise<string> {
    const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
    return await this.#bucket.request(`Could not sign an address for ${key}`, undefined, async ({ client, s3 }) => {
      const command = { ...this.#bucket.place(key), UploadId: uploadId, PartNumber: part };
      const signingDate = new Date(this.#bucket.nowMs());
      return await getSignedUrl(client, new s3.UploadPartCommand(command), {
        ...{ expiresIn: ADDRESS_LIFETIME_S, signingDate },
      });
    });
  }

  async parts(key: string, uploadId: string): Promise<UploadPart[] | undefined> {
    return await this.#bucket.request(`Could not list the parts of ${key}`, undefined, async ({ client, s3 }) => {
      const place = { ...this.#bucket.place(key), UploadId: uploadId };
      const found: UploadPart[] = [];
      for (let marker: string | undefined, last = false; !last; ) {
        const page = await client
          .send(new s3.ListPartsCommand({ ...place, PartNumberMarker: marker }))
          .catch((error) => {
            if (isMissing(error)) return undefined;
            throw error;
          });
        if (!page) return undefined;
        for (const { PartNumber: number = 0, Size: bytes = 0, ETag: etag = '' } of page.Parts ?? []) {
          found.push({ number, bytes, etag });
        }
        marker = page.NextPartNumberMarker;
        last = !page.IsTruncated || marker === undefined;
      }
      return found;
    });
  }

  async complete(key: string, uploadId: string, parts: readonly UploadPart[]): Promise<void> {
    await this.#bucket.request(`Could not complete ${key}`, undefined, async ({ client, s3 }) => {
      const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
      const command = { ...this.#bucket.place(key), UploadId: uploadId, MultipartUpload: { Parts } };
      await client.send(new s3.CompleteMultipartUploadCommand(command)).catch(async (error) => {
        // An earlier try may have completed it, and its answer was lost.
        if (!isMissing(error) || !(await this.#bucket.head(key))) throw error;
      });
    });
  }

  async abort(key: string, uploadId: string): Promise<void> {
    await this.#bucket.request(`Could not end the upload of ${key}`, undefined, async ({ client, s3 }) => {
      const command = { ...this.#bucket.place(key), UploadId: uploadId };
      await client.send(new s3.AbortMultipartUploadCommand(command)).catch((error) => {
        if (!isMissing(error)) throw error;
      });
    });
  }

  async abortOld(quietMs: number): Promise<number> {
    const old = await this.#bucket.request('Could not list unfinished uploads', undefined, async ({ client, s3 }) => {
      // A bucket without a prefix may have files of others beside those of renders.
      const { Bucket, Key: Prefix } = this.#bucket.place('renders/');
      const { Uploads = [] } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket, Prefix }));
      const before = this.#bucket.nowMs() - quietMs;
      return Uploads.filter(({ Initiated }) => Initiated !== undefined && Initiated.getTime() < before);
    });
    for (const { Key = '', UploadId = '' } of old) await this.abort(this.#bucket.below(Key), UploadId);
    return old.length;
  }
}
