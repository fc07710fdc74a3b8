import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ArtifactStore, artifactKeys } from '../shared/artifacts.ts';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors.ts';
import type { Job } from '../shared/jobs.ts';
import type { Logger } from '../shared/process/log.ts';
import { jobOptions, prepareQueue, type QueueClients } from '../shared/queues.ts';
import { newRenderId } from '../shared/renders/id.ts';
import { isTerminal, type RenderRecord, type RenderRequest } from '../shared/renders/record.ts';
import type { RenderStore } from '../shared/renders/store.ts';
import type { Models } from './models.ts';

/** What a caller chooses about a render; the rest of the request is known once the upload has been read. */
export type RenderOptions = Pick<RenderRequest, 'modelId' | 'output' | 'startFrameIndex' | 'jpegQuality'>;

/** An upload that lies in the store under the id of the render it is for. */
export type StoredUpload = Pick<RenderRequest, 'fileName' | 'uploadBytes' | 'uploadSha256'> & {
  readonly renderId: string;
};

export interface RenderServiceTools {
  readonly config: Config;
  readonly store: RenderStore;
  readonly artifacts: ArtifactStore;
  readonly queues: QueueClients;
  readonly models: Models;
  readonly log: Logger;
}

/** Renders as a service without a transport: what HTTP and gRPC both call. */
export class RenderService {
  readonly #tools: RenderServiceTools;

  constructor(tools: RenderServiceTools) {
    this.#tools = tools;
  }

  /** FarmError('queue_full') while as many renders are unfinished as server.queue_size allows. */
  async refuseIfFull(): Promise<void> {
    const activeCount = await this.#tools.store.countActive();
    if (activeCount >= this.#tools.config.server.queue_size) throw this.#full(activeCount);
  }

  /** Streams an upload to the store. FarmError: upload_too_large, audio_empty, storage_failed. */
  async storeUpload(fileName: string, content: Readable): Promise<StoredUpload> {
    const renderId = newRenderId();
    const hash = createHash('sha256');
    let uploadBytes = 0;
    const maxBytes = this.#tools.config.limits.max_upload_mb * 2 ** 20;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        uploadBytes += chunk.length;
        if (uploadBytes > maxBytes) {
          done(new FarmError('upload_too_large', `The upload is larger than ${maxBytes / 2 ** 20} MB`));
          return;
        }
        hash.update(chunk);
        done(null, chunk);
      },
    });
    try {
      await this.#tools.artifacts.publish(artifactKeys.upload(renderId), (path) =>
        pipeline(content, meter, createWriteStream(path)),
      );
      if (uploadBytes === 0) throw new FarmError('audio_empty', 'The uploaded file is empty (0 bytes)');
    } catch (error) {
      await this.discardUpload(renderId);
      throw error;
    }
    return { renderId, fileName, uploadBytes, uploadSha256: hash.digest('hex') };
  }

  async discardUpload(renderId: string): Promise<void> {
    await this.#tools.artifacts.remove(artifactKeys.folder(renderId));
  }

  /**
   * Takes a render: writes its record and its first job. The same idempotency key with the same request answers with
   * the render it made the first time. Whatever is refused leaves no upload behind.
   * FarmError: model_unknown, model_unusable, queue_full, idempotency_conflict, redis_unavailable.
   */
  async submit(
    upload: StoredUpload,
    options: RenderOptions,
    idempotencyKey: string | undefined,
  ): Promise<RenderRecord> {
    const { renderId, ...file } = upload;
    const { store, config } = this.#tools;
    try {
      await this.#tools.models.refuseUnusable(options.modelId);
      const request: RenderRequest = { ...options, ...file };
      const claim = idempotencyKey ? { key: idempotencyKey, fingerprint: fingerprint(request) } : undefined;
      const admission = await store.admit(renderId, request, config.server.queue_size, claim);
      if (admission.outcome === 'full') throw this.#full(admission.activeCount);
      if (admission.outcome === 'known') {
        if (!admission.sameRequest) {
          throw new FarmError(
            'idempotency_conflict',
            `Idempotency-Key "${idempotencyKey}" was used for another request`,
          );
        }
        await this.discardUpload(renderId);
        return await store.get(admission.renderId);
      }
    } catch (error) {
      await this.discardUpload(renderId);
      throw error;
    }
    // Should this fail, a media worker finds the record and adds the job: the render is taken either way.
    const job: Job = { name: 'prepare', renderId };
    await this.#tools.queues
      .media(prepareQueue(upload.uploadBytes))
      .add(job.name, job, jobOptions(job, config.render.attempts))
      .catch((error: Error) => this.#tools.log.warn({ render: renderId, reason: error.message }, 'job not added yet'));
    return await store.get(renderId);
  }

  async get(renderId: string): Promise<RenderRecord> {
    return await this.#tools.store.get(renderId);
  }

  /** Cancels a render that runs, removes one that has ended. Returns which of the two happened. */
  async cancelOrRemove(renderId: string): Promise<'cancelled' | 'removed'> {
    const { store, artifacts } = this.#tools;
    const record = await store.get(renderId);
    const outcome = !isTerminal(record.status) && (await store.cancel(renderId)) ? 'cancelled' : 'removed';
    if (outcome === 'removed') await store.remove(renderId);
    await artifacts.remove(artifactKeys.folder(renderId));
    return outcome;
  }

  #full(activeCount: number): FarmError {
    return new FarmError(
      'queue_full',
      `${activeCount} renders are unfinished; server.queue_size allows ${this.#tools.config.server.queue_size}`,
    );
  }
}

/** Two requests are the same when the same sound is to be rendered in the same way, whatever the file is called. */
function fingerprint({ fileName: _, ...request }: RenderRequest): string {
  return createHash('sha256').update(JSON.stringify(request)).digest('hex');
}
