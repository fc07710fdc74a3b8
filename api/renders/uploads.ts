import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ResumableUploads } from '../../shared/artifacts/resumable-uploads.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { partBytesOf } from '../../shared/artifacts/upload-parts.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import { ownUploadsKey, recordKey, uploadKey, uploadsKey } from '../../shared/renders/keys.ts';
import { HOUR_MS, MB } from '../../shared/units.ts';
import type { UploadView } from '../../shared/views/upload-view.ts';
import { type Caller, maySee } from '../access/caller.ts';
import type { StoredUpload } from './request.ts';
import type { RenderSubmission } from './submission.ts';

const recordSchema = z.object({
  owner: z.string().optional(),
  fileName: z.string(),
  bytes: z.int(),
  partBytes: z.int(),
  /** Id in the store. */
  storeId: z.string(),
  expiresAtMs: z.number(),
  /** Once it is complete. */
  sha256: z.string().optional(),
});
type UploadRecord = z.infer<typeof recordSchema>;

/** With retention.orphan_hours 0, which is for ever. */
const USUAL_HOURS = 24;

export interface UploadTools {
  readonly config: Config;
  readonly redis: Redis;
  readonly artifacts: ArtifactStore;
  readonly submission: Pick<RenderSubmission, 'refuseIfFull'>;
}

/**
 * Large sounds that clients put into the store themselves, part by part. The id of an upload becomes that of the render
 * that is made of it, so its bytes lie where they belong from the beginning.
 */
export class Uploads {
  readonly #tools: UploadTools;

  constructor(tools: UploadTools) {
    this.#tools = tools;
  }

  /**
   * Begins one. FarmError: uploads_unavailable, upload_too_large, queue_full, key_limit_reached, storage_full, those of
   * the store.
   */
  async begin(file: { readonly fileName: string; readonly bytes: number }, caller: Caller): Promise<UploadView> {
    const { config, submission } = this.#tools;
    const store = this.#store();
    const { limits, retention, server } = config;
    if (file.bytes > limits.max_upload_mb * MB) {
      throw new FarmError('upload_too_large', `The upload is larger than ${limits.max_upload_mb} MB`);
    }
    await submission.refuseIfFull({ caller, idempotencyKey: undefined }, file.bytes);
    const open = await this.#countOpen(uploadsKey);
    if (open >= server.queue_size) {
      throw new FarmError('queue_full', `${open} uploads have begun; server.queue_size allows ${server.queue_size}`);
    }
    await this.#refuseIfManyOf(caller);
    const id = newRenderId();
    const storeId = await store.begin(artifactKeys.upload(id));
    const expiresAtMs = Date.now() + (retention.orphan_hours || USUAL_HOURS) * HOUR_MS;
    const owner = caller.keyName === undefined ? {} : { owner: caller.keyName };
    const record = { ...owner, ...file, partBytes: partBytesOf(file.bytes), storeId, expiresAtMs };
    await this.#save(id, record);
    return await this.#view(id, record);
  }

  /** What has come of it, with new addresses for the rest. FarmError: upload_unknown, those of the store. */
  async get(id: string, caller: Caller): Promise<UploadView> {
    return await this.#view(id, await this.#record(id, caller));
  }

  /** Makes it one file. FarmError: upload_unknown, upload_incomplete, those of the store. */
  async complete(id: string, caller: Caller): Promise<UploadView> {
    const record = await this.#record(id, caller);
    if (record.sha256 !== undefined) return await this.#view(id, record);
    const store = this.#store();
    const key = artifactKeys.upload(id);
    const there = await store.parts(key, record.storeId);
    if (there) {
      const missing = partsOf(record).filter(({ number, bytes }) =>
        there.every((part) => part.number !== number || part.bytes !== bytes),
      );
      if (missing.length > 0)
        throw incomplete(
          id,
          missing.map(({ number }) => number),
        );
      await store.complete(key, record.storeId, there);
    }
    // Nobody of the farm has seen its bytes yet.
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of this.#tools.artifacts.read(key)) {
      hash.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
    }
    if (bytes !== record.bytes) throw incomplete(id, []);
    const whole = { ...record, sha256: hash.digest('hex') };
    await this.#save(id, whole);
    return await this.#view(id, whole);
  }

  /** Ends it and removes what has come. FarmError: upload_unknown, those of the store. */
  async remove(id: string, caller: Caller): Promise<void> {
    const { redis, artifacts } = this.#tools;
    const record = await this.#record(id, caller);
    await this.#store().abort(artifactKeys.upload(id), record.storeId);
    // Of one that is rendered already, the render owns the file.
    if (!(await this.#isRendered(id))) await artifacts.remove(artifactKeys.folder(id));
    await redis.del(uploadKey(id));
    await this.#close(id, record);
  }

  /** A render was made of it, which counts from now on. Nothing for one that is not known any more. */
  async rendered(id: string): Promise<void> {
    const record = await this.#find(id);
    if (record) await this.#close(id, record);
  }

  /** The upload as a render takes it; it stays when the render is refused. FarmError: upload_unknown, upload_incomplete. */
  async take(id: string, caller: Caller): Promise<StoredUpload> {
    const { fileName, bytes, sha256 } = await this.#record(id, caller);
    if (sha256 === undefined) throw incomplete(id, []);
    const { artifacts } = this.#tools;
    // Of a render that is done the upload is gone, and asking again gives that render.
    const isThere = (await this.#isRendered(id)) || (await artifacts.size(artifactKeys.upload(id))) !== undefined;
    if (!isThere) throw new FarmError('upload_unknown', `Upload ${id} was rendered, and its render removed`);
    return { renderId: id, fileName, uploadBytes: bytes, uploadSha256: sha256, stays: true };
  }

  /** A key begins no more of them than it may have renders unfinished, so that they do not take the room of others. */
  async #refuseIfManyOf({ keyName, limits }: Caller): Promise<void> {
    if (keyName === undefined || limits.unfinishedRenders === 0) return;
    const own = await this.#countOpen(ownUploadsKey(keyName));
    if (own < limits.unfinishedRenders) return;
    const most = 'as many as its max_unfinished_renders allows renders';
    throw new FarmError('key_limit_reached', `${own} uploads of the key "${keyName}" have begun, ${most}`);
  }

  async #countOpen(key: string): Promise<number> {
    const { redis } = this.#tools;
    await redis.zremrangebyscore(key, '-inf', Date.now());
    return await redis.zcard(key);
  }

  async #close(id: string, { owner }: UploadRecord): Promise<void> {
    const { redis } = this.#tools;
    await redis.zrem(uploadsKey, id);
    if (owner !== undefined) await redis.zrem(ownUploadsKey(owner), id);
  }

  async #find(id: string): Promise<UploadRecord | undefined> {
    const text = await this.#tools.redis.get(uploadKey(id));
    return text === null ? undefined : recordSchema.parse(JSON.parse(text));
  }

  async #isRendered(id: string): Promise<boolean> {
    return (await this.#tools.redis.exists(recordKey(id))) === 1;
  }

  async #record(id: string, caller: Caller): Promise<UploadRecord> {
    const record = await this.#find(id);
    if (!record || !maySee(caller, record.owner)) throw new FarmError('upload_unknown', `There is no upload ${id}`);
    return record;
  }

  async #save(id: string, record: UploadRecord): Promise<void> {
    const { expiresAtMs, owner } = record;
    const saving = this.#tools.redis
      .multi()
      .set(uploadKey(id), JSON.stringify(record), 'PXAT', Math.round(expiresAtMs))
      .zadd(uploadsKey, expiresAtMs, id);
    if (owner !== undefined) saving.zadd(ownUploadsKey(owner), expiresAtMs, id);
    await saving.exec();
  }

  async #view(id: string, record: UploadRecord): Promise<UploadView> {
    const { fileName, bytes, partBytes, storeId, expiresAtMs, sha256 } = record;
    const about = {
      ...{ upload_id: id, file_name: fileName, bytes, part_bytes: partBytes, complete: sha256 !== undefined },
      expires_at: new Date(expiresAtMs).toISOString(),
    };
    if (sha256 !== undefined) return { ...about, parts: [] };
    const key = artifactKeys.upload(id);
    const store = this.#store();
    const there = (await store.parts(key, storeId)) ?? [];
    const parts = partsOf(record).map(async ({ number, bytes: size }) => {
      const has = there.some((part) => part.number === number && part.bytes === size);
      return { number, bytes: size, there: has, url: has ? null : await store.addressOf(key, storeId, number) };
    });
    return { ...about, parts: await Promise.all(parts) };
  }

  #store(): ResumableUploads {
    const { resumable } = this.#tools.artifacts;
    if (resumable) return resumable;
    throw new FarmError('uploads_unavailable', 'This farm keeps its files in a folder, which clients cannot write to');
  }
}

function partsOf({ bytes, partBytes }: UploadRecord): { readonly number: number; readonly bytes: number }[] {
  const count = Math.max(1, Math.ceil(bytes / partBytes));
  return Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    bytes: Math.min(partBytes, bytes - index * partBytes),
  }));
}

function incomplete(id: string, parts: readonly number[]): FarmError {
  const what = parts.length > 0 ? `: missing, or of another length: ${parts.slice(0, 20).join(', ')}` : '';
  return new FarmError('upload_incomplete', `Upload ${id} is not complete${what}`);
}
