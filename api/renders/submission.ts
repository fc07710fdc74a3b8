import type { Readable } from 'node:stream';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { addPrepareJob, type QueueClients } from '../../shared/jobs/queues.ts';
import type { Logger } from '../../shared/process/log.ts';
import { logged } from '../../shared/process/unheard.ts';
import { afterwards, RedisUnavailable, untilKnown } from '../../shared/redis/outcome.ts';
import type { MarkForm } from '../../shared/renders/footage.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import type { RenderRecord, RenderRequest } from '../../shared/renders/record.ts';
import type { RenderOwner } from '../../shared/renders/store.ts';
import { GB } from '../../shared/units.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { type Caller, seesAll } from '../access/caller.ts';
import type { AuditLog } from '../logs/audit-log.ts';
import type { Models } from '../models.ts';
import { currentOrigin } from '../request-context.ts';
import type { Webhooks } from '../webhooks.ts';
import { fetchInput } from './input-url.ts';
import {
  fingerprint,
  isSameRequest,
  type RenderOptions,
  requestOf,
  type StoredFile,
  type StoredUpload,
} from './request.ts';
import { keyStorageFull, limitReached, queueFull, RenderRoom, type RoomTools } from './room.ts';
import { UploadMeter } from './upload-meter.ts';
import { toView, viewRender } from './view.ts';

/** Crop rects and landmarks are small: an hour of landmarks is not as large. */
const MOST_MARKS_MB = 64;

/** Who submits a render, and the idempotency key of the request. */
export interface Submitter {
  readonly caller: Caller;
  readonly idempotencyKey: string | undefined;
}

export interface SubmissionTools extends RoomTools {
  readonly artifacts: ArtifactStore;
  readonly queues: QueueClients;
  readonly models: Models;
  readonly webhooks: Pick<Webhooks, 'of'>;
  readonly log: Logger;
  readonly audit: AuditLog;
}

/** Takes renders: upload, admission, first job. */
export class RenderSubmission {
  readonly #tools: SubmissionTools;
  readonly #room: RenderRoom;

  constructor(tools: SubmissionTools) {
    this.#tools = tools;
    this.#room = new RenderRoom(tools);
  }

  /**
   * To be asked before an upload is read. A request whose idempotency key has made a render before is no new one: it is
   * answered with that render, however full the farm is by now, also of that render itself.
   * FarmError: storage_full, queue_full, key_limit_reached; see RenderRoom.
   * @param uploadBytes as announced; 0: not known.
   */
  async refuseIfFull({ caller, idempotencyKey }: Submitter, uploadBytes = 0): Promise<void> {
    if (idempotencyKey && (await this.#tools.store.isClaimed(idempotencyKey, ownerOf(caller)))) return;
    await this.#room.refuseIfFull(caller, uploadBytes);
  }

  /**
   * Streams an upload to the store. `content` fails with a FarmError that says what is wrong with it.
   * FarmError: upload_too_large, audio_empty, storage_full, storage_failed.
   */
  async storeUpload(fileName: string, content: Readable, renderId = newRenderId()): Promise<StoredUpload> {
    const { max_upload_mb } = this.#tools.config.limits;
    const { bytes, sha256 } = await this.#storeFile(renderId, artifactKeys.upload(renderId), content, max_upload_mb);
    if (bytes > 0) return { renderId, fileName, uploadBytes: bytes, uploadSha256: sha256 };
    await this.discardUpload(renderId);
    throw new FarmError('audio_empty', 'The uploaded file is empty (0 bytes)');
  }

  /**
   * Streams one of the files of footage to the store, beside the sound of its render.
   * FarmError: upload_too_large, storage_full, storage_failed. The whole upload is discarded then.
   */
  async storeFootage(
    kind: 'video' | MarkForm,
    content: Readable,
    renderId: string,
  ): Promise<Omit<StoredFile, 'fileName'>> {
    const { max_upload_mb } = this.#tools.config.limits;
    const [keyOf, mostMb] =
      kind === 'video'
        ? [artifactKeys.footageVideo, max_upload_mb]
        : [artifactKeys.footageMarks, Math.min(max_upload_mb, MOST_MARKS_MB)];
    return await this.#storeFile(renderId, keyOf(renderId), content, mostMb);
  }

  async #storeFile(renderId: string, key: string, content: Readable, mostMb: number) {
    using arrival = this.#room.arrival();
    const meter = new UploadMeter(mostMb, (bytes) => arrival.came(bytes));
    try {
      await this.#tools.artifacts.receive(key, content, meter);
    } catch (error) {
      await this.discardUpload(renderId);
      // Faults of the upload itself are FarmErrors already; whatever else failed is a fault of the store.
      throw FarmError.from(error, 'storage_failed');
    }
    return { bytes: meter.bytes, sha256: meter.sha256() };
  }

  /**
   * Fetches a sound to the store, where it lies as if it had been uploaded.
   * FarmError: those of storeUpload and of fetchInput.
   */
  async storeFromUrl(url: string, signal: AbortSignal, renderId?: string): Promise<StoredUpload> {
    const { fileName, content } = await fetchInput(url, this.#tools.config, signal);
    return await this.storeUpload(fileName, content, renderId);
  }

  /** Never rejects: what is wrong with the upload, or with the store, is said by whoever discards it. */
  async discardUpload(renderId: string): Promise<void> {
    const stays = logged('could not remove a discarded upload; it goes after retention.orphan_hours');
    await this.#tools.artifacts.remove(artifactKeys.folder(renderId)).catch(stays);
  }

  /**
   * Takes a render: writes its record and its first job. The same idempotency key with the same request answers with
   * the render it made the first time, to the same caller. Whatever is refused leaves no upload behind; as long as
   * nobody knows whether it was refused, the upload stays.
   * FarmError: model_unknown, model_unusable, queue_full, storage_full, key_limit_reached, idempotency_conflict,
   * redis_unavailable, outcome_unknown.
   */
  async submit(upload: StoredUpload, options: RenderOptions, submitter: Submitter): Promise<RenderView> {
    const target = { render: upload.renderId, model: options.modelId };
    return await this.#tools.audit.noting('render.submit', target, () => this.#submit(upload, options, submitter));
  }

  async #submit(upload: StoredUpload, options: RenderOptions, submitter: Submitter): Promise<RenderView> {
    const { store } = this.#tools;
    const { renderId } = upload;
    const request = await requestOf(upload, options, this.#tools.config.models.get(options.modelId));
    if (upload.stays) await this.#refuseAnother(renderId, request);
    const wanted = options.webhook;
    const admit = async () => {
      const webhook = this.#tools.webhooks.of(wanted, submitter.caller);
      if (webhook) request.webhook = webhook;
      return await this.#admit(renderId, request, submitter);
    };
    const renderedAs = await admit().catch(async (error: unknown) => {
      if (FarmError.from(error).code !== 'outcome_unknown' && !upload.stays) await this.discardUpload(renderId);
      throw error;
    });
    if (renderedAs !== renderId) {
      if (!upload.stays) await this.discardUpload(renderId);
      const read = async () => await viewRender(await store.get(renderedAs), store);
      return await afterwards(`Render ${renderedAs} was to be shown, which this key has made`, read);
    }
    await this.#enqueue({ renderId, request }, submitter.caller.keyName);
    try {
      return await viewRender(await store.get(renderId), store);
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      // It was taken, whatever Redis does now.
      return viewOfTaken(renderId, request);
    }
  }

  /** An upload in parts is one render. FarmError('idempotency_conflict') where that was asked for in another way. */
  async #refuseAnother(renderId: string, request: RenderRequest): Promise<void> {
    const made = await this.#tools.store.find(renderId);
    if (!made || isSameRequest(made.request, request)) return;
    const message = `Upload ${renderId} was rendered from another request: begin another upload for this one`;
    throw new FarmError('idempotency_conflict', message);
  }

  /** The id under which the request is rendered: its own, or that of the render which its key has made before. */
  async #admit(renderId: string, request: RenderRequest, { idempotencyKey, caller }: Submitter): Promise<string> {
    const { store, config, models } = this.#tools;
    await models.refuseUnusable(request.modelId);
    // The upload may have taken minutes.
    caller.revoked.throwIfAborted();
    const claim = idempotencyKey ? { key: idempotencyKey, fingerprint: fingerprint(request) } : undefined;
    const admission = await untilKnown(`Render ${renderId} was to be taken`, (again) =>
      store.admit(renderId, request, config.server.queue_size, claim, ownerOf(caller), {
        lastWord: again,
        mostStoredBytes: config.limits.storage_quota_gb * GB,
        ...currentOrigin(),
      }),
    );
    if (admission.outcome === 'admitted') return renderId;
    if (admission.outcome === 'full') throw queueFull(admission.activeCount, config.server.queue_size);
    if (admission.outcome === 'owner full') throw limitReached(caller.keyName ?? '', admission.activeCount);
    if (admission.outcome === 'storage full') throw this.#room.storageFull(admission.storedBytes);
    if (admission.outcome === 'owner storage full') {
      throw keyStorageFull(caller.keyName ?? '', admission.storedBytes, caller.limits.storedBytes);
    }
    if (admission.sameRequest) return admission.renderId;
    throw new FarmError('idempotency_conflict', `Idempotency-Key "${idempotencyKey}" was used for another request`);
  }

  /** Should this fail, a media worker finds the record and adds the job: the render is taken either way. */
  async #enqueue(render: Pick<RenderRecord, 'renderId' | 'request'>, owner: string | undefined): Promise<void> {
    const { queues, config, log, work } = this.#tools;
    const { renderId, request } = render;
    // Bounds how much waits to be read; the render itself does not need it.
    await work.uploadWaits(renderId, request.uploadBytes, owner).catch(logged('an upload was not counted'));
    await addPrepareJob(queues, { ...render, ...currentOrigin() }, config.render.attempts).catch((error: Error) =>
      log.warn({ render: renderId, reason: error.message }, 'job not added yet'),
    );
  }
}

function ownerOf(caller: Caller): RenderOwner | undefined {
  const { keyName: name, limits, isPlain } = caller;
  if (name === undefined) return undefined;
  const apart = seesAll(caller) ? 'apart or common' : 'apart';
  return {
    name,
    mostUnfinished: limits.unfinishedRenders,
    mostStoredBytes: limits.storedBytes,
    idempotency: isPlain ? 'common' : apart,
  };
}

/** A render that has just been taken. */
function viewOfTaken(renderId: string, request: RenderRequest): RenderView {
  const nowMs = Date.now();
  const progress = { framesDone: 0, framesRepeating: 0 };
  return toView({ renderId, status: 'queued', request, createdAtMs: nowMs }, progress, undefined, nowMs);
}
