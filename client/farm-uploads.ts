import { FarmError } from '../shared/errors/farm-error.ts';
import { type UploadView, uploadViewSchema } from '../shared/views/upload-view.ts';
import type { Connection } from './connection.ts';
import { json, type UploadedSound } from './requests.ts';
import { wait } from './wait.ts';

const PARTS_AT_ONCE = 3;
/** In a row, without a part that came. */
const MOST_TRIES = 5;
const FIRST_WAIT_MS = 500;

export interface UploadOptions {
  /** Name of the sound; default: that of a File, else "audio". */
  readonly fileName?: string;
  /** Of an upload that broke off: it goes on with the parts that are missing. */
  readonly uploadId?: string;
  /** Told once it has begun and after each part: what has come, in bytes of `view.bytes`. */
  readonly onProgress?: (view: Pick<UploadView, 'upload_id' | 'bytes'>, bytesThere: number) => void;
  readonly signal?: AbortSignal;
}

/** Large sounds, put part by part into the bucket of a farm with `storage.driver: s3`, past its front ends. */
export class FarmUploads {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Puts a sound into the farm's bucket; `submit` renders what it returns. A part that breaks off is put again. After
   * `signal` or an error the upload stays for some hours, and `uploadId` goes on with it.
   * @throws FarmError `uploads_unavailable` where the farm has no bucket; `storage_failed` when the bucket takes no
   * part; `request_invalid` when the upload is of a sound of another length.
   */
  async put(sound: Blob | Uint8Array<ArrayBuffer>, options: UploadOptions = {}): Promise<UploadedSound> {
    const { uploadId, onProgress, signal } = options;
    const file = sound instanceof Blob ? sound : new Blob([sound]);
    let view = await (uploadId === undefined ? this.#begin(file, options) : this.get(uploadId));
    if (view.bytes !== file.size) {
      const message = `Upload ${view.upload_id} is of ${view.bytes} bytes, and the sound has ${file.size}`;
      throw new FarmError('request_invalid', message);
    }
    const tell = (there: number) => onProgress?.(view, there);
    for (let tries = 1; !view.complete; tries++) {
      const before = bytesThere(view);
      tell(before);
      const fault = await putParts(file, view, { signal, tell });
      if (!fault) return await this.#complete(view.upload_id);
      view = await this.get(view.upload_id); // With new addresses: the old ones may have expired.
      if (bytesThere(view) > before) tries = 0;
      if (tries >= MOST_TRIES) throw fault;
      await wait(FIRST_WAIT_MS * 2 ** tries, signal);
    }
    return { uploadId: view.upload_id };
  }

  /** What has come of an upload. FarmError('upload_unknown'). */
  async get(uploadId: string): Promise<UploadView> {
    return await this.#connection.read(uploadViewSchema, pathOf(uploadId));
  }

  /** Ends an upload, and removes what has come. FarmError('upload_unknown'). */
  async remove(uploadId: string): Promise<void> {
    await this.#connection.request(pathOf(uploadId), { method: 'DELETE' });
  }

  async #begin(file: Blob, { fileName }: UploadOptions): Promise<UploadView> {
    const file_name = fileName ?? (file instanceof File && file.name !== '' ? file.name : 'audio');
    return await this.#connection.read(uploadViewSchema, '/v1/uploads', json({ file_name, bytes: file.size }));
  }

  async #complete(uploadId: string): Promise<UploadedSound> {
    // Never aborted: the farm reads all of it meanwhile.
    const request = { method: 'POST', signal: new AbortController().signal };
    await this.#connection.read(uploadViewSchema, `${pathOf(uploadId)}/complete`, request);
    return { uploadId };
  }
}

interface PutOptions {
  readonly signal: AbortSignal | undefined;
  readonly tell: (bytesThere: number) => void;
}

/** Puts all parts that are missing, some at once. Returns what went wrong first, once nothing is on its way any more. */
async function putParts(file: Blob, view: UploadView, { signal, tell }: PutOptions): Promise<FarmError | undefined> {
  const missing = view.parts.filter(({ there }) => !there);
  let there = bytesThere(view);
  const line = async () => {
    for (let part = missing.shift(); part; part = missing.shift()) {
      const start = (part.number - 1) * view.part_bytes;
      const body = file.slice(start, start + part.bytes);
      const answer = await fetch(part.url ?? '', { method: 'PUT', body, signal: signal ?? null });
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`it answered ${answer.status}`);
      there += part.bytes;
      tell(there);
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: PARTS_AT_ONCE }, line));
  signal?.throwIfAborted();
  const failed = ends.find((end) => end.status === 'rejected');
  return failed && bucketFault(view, failed.reason);
}

/** Without the address, whose signature is a secret. */
function bucketFault({ upload_id, parts }: UploadView, reason: unknown): FarmError {
  const host = URL.parse(parts.find(({ url }) => url !== null)?.url ?? '')?.host ?? 'no address';
  const cause = reason instanceof Error && reason.cause instanceof Error ? reason.cause : reason;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new FarmError('storage_failed', `The bucket at ${host} did not take all of upload ${upload_id}: ${why}`);
}

function bytesThere({ parts }: UploadView): number {
  return parts.reduce((sum, { there, bytes }) => sum + (there ? bytes : 0), 0);
}

const pathOf = (uploadId: string) => `/v1/uploads/${encodeURIComponent(uploadId)}`;
