import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { withMode } from '../../shared/background-mode.ts';
import { hasIdleClip } from '../../shared/config/model-config.ts';
import { frameRateOf } from '../../shared/config/model-hearing.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { addPrepareJob, type QueueClients } from '../../shared/jobs/queues.ts';
import type { Logger } from '../../shared/process/log.ts';
import { logged } from '../../shared/process/unheard.ts';
import { afterwards, RedisUnavailable, untilKnown } from '../../shared/redis/outcome.ts';
import type { Footage, MarkForm, SyncMode } from '../../shared/renders/footage.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import type { RenderPriority, RenderRecord, RenderRequest } from '../../shared/renders/record.ts';
import type { RenderOwner } from '../../shared/renders/store.ts';
import { withFrameRate } from '../../shared/sound/frame-rate.ts';
import { GB } from '../../shared/units.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { type Caller, seesAll } from '../access/caller.ts';
import type { AuditLog } from '../logs/audit-log.ts';
import type { Models } from '../models.ts';
import { currentOrigin } from '../request-context.ts';
import type { WantedWebhook, Webhooks } from '../webhooks.ts';
import { fetchInput } from './input-url.ts';
import { keyStorageFull, limitReached, queueFull, RenderRoom, type RoomTools } from './room.ts';
import { UploadMeter } from './upload-meter.ts';
import { toView, viewRender } from './view.ts';

/** What a caller chooses about a render; the rest of the request is known once the upload has been read. */
export type RenderOptions = Pick<
  RenderRequest,
  | ('modelId' | 'output' | 'startFrameIndex' | 'jpegQuality' | 'labels' | 'priority' | 'range')
  | ('backgroundMode' | 'fromNeutral' | 'audioLeadMs' | 'audioTailMs' | 'frameRate' | 'cache')
> & {
  /** Whether the mouth is closed and still in silence; absent: as the model says. */
  readonly silenceGate?: boolean;
  /** Absent: as the configuration says, if it does. */
  readonly webhook?: WantedWebhook;
  /** Of footage; absent: cut. */
  readonly syncMode?: SyncMode;
};

/** Labels as a request keeps them: in one order, so that the same request is known again, and none when there are none. */
export function withLabels(labels: Readonly<Record<string, string>>): Pick<RenderOptions, 'labels'> {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.length > 0 ? { labels: Object.fromEntries(sorted) } : {};
}

/** The priority as a request keeps it: a normal one is not written, so that the same request is known again. */
export function withPriority(priority: RenderPriority): Pick<RenderOptions, 'priority'> {
  return priority === 'normal' ? {} : { priority };
}

/** FarmError('request_invalid') for a range that holds no frame. @param to 0 or absent: to the end. */
export function withRange(from = 0, to = 0): Pick<RenderOptions, 'range'> {
  if (from === 0 && to === 0) return {};
  if (to !== 0 && to <= from) throw new FarmError('request_invalid', `to: got ${to}, expected more than from, ${from}`);
  return { range: to === 0 ? { from } : { from, to } };
}

/** Silence around the sound, in ms, as a request keeps it: none is not written. */
export function withSilence(leadMs: number, tailMs: number): Pick<RenderOptions, 'audioLeadMs' | 'audioTailMs'> {
  return { ...(leadMs > 0 ? { audioLeadMs: leadMs } : {}), ...(tailMs > 0 ? { audioTailMs: tailMs } : {}) };
}

/** An upload that lies in the store under the id of the render it is for. */
export type StoredUpload = Pick<RenderRequest, 'fileName' | 'uploadBytes' | 'uploadSha256'> & {
  readonly renderId: string;
  /** Whether it is kept when the render is refused. */
  readonly stays?: boolean;
  /** Where a video came with the sound; `uploadBytes` counts it too. */
  readonly footage?: Omit<Footage, 'syncMode'>;
};

/** One file of an upload. */
export interface StoredFile {
  readonly fileName: string;
  readonly bytes: number;
  readonly sha256: string;
}

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
    const request = await this.#requestOf(upload, options);
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

  async #requestOf(
    { renderId: _, stays: ___, footage, ...file }: StoredUpload,
    options: RenderOptions,
  ): Promise<RenderRequest> {
    const { webhook: __, backgroundMode, frameRate, silenceGate, syncMode = 'cut', ...chosen } = options;
    const usual = this.#tools.config.models.get(options.modelId);
    const isGated = silenceGate ?? usual?.silenceGate ?? false;
    const request = {
      ...{ ...chosen, ...file, ...withFrameRate(frameRate, usual && (await frameRateOf(usual))) },
      ...(isGated ? { silenceGate: true as const } : {}),
      ...(isGated && !footage && usual && hasIdleClip(usual) ? { idleAfterMs: usual.idleAfterMs } : {}),
    };
    if (footage) return { ...request, footage: { ...footage, syncMode } };
    return { ...request, ...withMode(backgroundMode, usual?.backgroundMode) };
  }

  /** An upload in parts is one render. FarmError('idempotency_conflict') where that was asked for in another way. */
  async #refuseAnother(renderId: string, request: RenderRequest): Promise<void> {
    const made = await this.#tools.store.find(renderId);
    if (!made || isDeepStrictEqual(sameParts(made.request), sameParts(request))) return;
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

/** Two requests are the same when the same sound is to be rendered in the same way, whatever the file is called. */
function fingerprint(request: RenderRequest): string {
  return createHash('sha256')
    .update(JSON.stringify(sameParts(request)))
    .digest('hex');
}

function sameParts({ fileName: _, webhook: __, cache: ___, footage, ...request }: RenderRequest) {
  const same = footage ? { ...request, footage: { ...footage, fileName: '' } } : request;
  return JSON.parse(JSON.stringify(same)) as unknown;
}
