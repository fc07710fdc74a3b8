import { z } from 'zod';
import { FarmError } from '../shared/errors/farm-error.ts';
import { isTerminal } from '../shared/renders/record.ts';
import { type Batch, batchSchema } from '../shared/views/batch-view.ts';
import { type Estimate, estimateSchema } from '../shared/views/estimate-view.ts';
import { type GcView, gcViewSchema } from '../shared/views/gc-view.ts';
import { type GpuList, type GpuView, gpuListSchema, gpuViewSchema } from '../shared/views/gpu-view.ts';
import {
  type LoadAnswer,
  loadAnswerSchema,
  type ModelList,
  modelListSchema,
  type UnloadAnswer,
  unloadAnswerSchema,
} from '../shared/views/models-view.ts';
import {
  type Receipt,
  type RenderPage,
  type RenderView,
  receiptSchema,
  renderPageSchema,
  renderViewSchema,
} from '../shared/views/render-view.ts';
import {
  type DeliveryTry,
  deliveryListSchema,
  type WebhookTest,
  webhookSecretsSchema,
  webhookTestSchema,
} from '../shared/views/webhook-view.ts';
import { Connection } from './connection.ts';
import { type EventFilter, type FollowedEvent, type FollowOptions, followEvents } from './events.ts';
import { FarmHosts } from './farm-hosts.ts';
import { FarmUploads } from './farm-uploads.ts';
import { type LiveOptions, LiveSession } from './live-session.ts';
import { type Patience, patiently } from './patience.ts';
import { type RenderFrame, type RenderFramesOptions, renderFrames } from './render-frames.ts';
import {
  type Audio,
  type BatchItem,
  batchRequest,
  type DeliveryFilter,
  type EstimateOptions,
  estimateRequest,
  json,
  listQuery,
  type RenderFilter,
  type SubmitOptions,
  submission,
} from './requests.ts';
import { wait } from './wait.ts';

const POLL_EVERY_MS = 250;
const GREETING_WITHIN_MS = 10_000;
/** Loading a model may wait for a place and for a large file. */
const LOAD_WITHIN_MS = 600_000;
const IMPATIENT: Patience = { forMs: 0 };
const LARGEST_PAGE = 100;

/** Pictures that are made of a finished render. */
export type RenderPicture = 'contact-sheet' | 'waveform' | 'waterfall';

/**
 * A farm, spoken to over HTTP, from a browser or Node. Every fault is thrown as a FarmError, as {@link Connection} says.
 * Browsers may call a farm from pages of its own, and from origins that its `http.allowed_origins` lists.
 */
export class FarmClient {
  /** The machines of the farm, and orders for them. */
  readonly hosts: FarmHosts;
  /** Large sounds in parts, for a farm whose files are in a bucket. */
  readonly uploads: FarmUploads;
  readonly #connection: Connection;
  readonly #apiKey: string | undefined;

  /** @param baseUrl such as "http://127.0.0.1:8080". FarmError('url_invalid') for what is no address of a farm. */
  constructor(baseUrl: string, apiKey?: string) {
    this.#connection = new Connection(baseUrl, apiKey);
    this.#apiKey = apiKey;
    this.hosts = new FarmHosts(this.#connection);
    this.uploads = new FarmUploads(this.#connection);
  }

  get url(): string {
    return this.#connection.url;
  }

  /** Resolves if a farm answers that takes this key. */
  async greet(): Promise<void> {
    const signal = AbortSignal.timeout(GREETING_WITHIN_MS);
    await this.#connection.read(z.object({ name: z.literal('Lipsync Farm') }), '/', { signal });
  }

  /** Sends a sound, or the address of one, and returns the new render. */
  async submit(audio: Audio, options: SubmitOptions = {}): Promise<RenderView> {
    // Never aborted: an upload may take any time, and fetch itself ends a wait for the answer after it.
    const signal = new AbortController().signal;
    return await this.#connection.read(renderViewSchema, '/v1/renders', { ...submission(audio, options), signal });
  }

  /** Sends up to 500 sounds in one request; each is taken or refused by itself, in the order of `items`. */
  async submitBatch(items: readonly BatchItem[], options: SubmitOptions = {}): Promise<Batch> {
    const signal = new AbortController().signal;
    const request = batchRequest(items, options);
    return await this.#connection.read(batchSchema, '/v1/renders/batch', { ...request, signal });
  }

  /** What a render of so many seconds would cost. */
  async estimate(options: EstimateOptions): Promise<Estimate> {
    return await this.#connection.read(estimateSchema, '/v1/renders/estimate', estimateRequest(options));
  }

  async get(renderId: string): Promise<RenderView> {
    return await this.#connection.read(renderViewSchema, renderPath(renderId));
  }

  /** Removes what has expired, however long that takes; with `dryRun` it only names it. */
  async collectExpired(dryRun: boolean, { cache = false }: { readonly cache?: boolean } = {}): Promise<GcView> {
    const signal = new AbortController().signal;
    const query = `dry_run=${dryRun}${cache ? '&cache=true' : ''}`;
    return await this.#connection.read(gcViewSchema, `/v1/gc?${query}`, { method: 'POST', signal });
  }

  /** A page of renders, newest first. @param limit 1 to 100. */
  async list(limit = 20, filter: RenderFilter = {}): Promise<RenderPage> {
    return await this.#connection.read(renderPageSchema, `/v1/renders${listQuery(limit, filter)}`);
  }

  /** All renders that the filter lets through, newest first, page by page as they are asked for. */
  async *renders(filter: RenderFilter = {}, pageSize = LARGEST_PAGE): AsyncGenerator<RenderView> {
    let next: string | null = `/v1/renders${listQuery(pageSize, filter)}`;
    while (next !== null) {
      const page: RenderPage = await this.#connection.read(renderPageSchema, next);
      yield* page.renders;
      next = page.next;
    }
  }

  /** The render's state again and again until it has ended, the last one included. */
  async *watch(renderId: string, patience: Patience = IMPATIENT): AsyncGenerator<RenderView> {
    for (;;) {
      const view = await patiently(() => this.get(renderId), patience);
      yield view;
      if (isTerminal(view.status)) return;
      await wait(POLL_EVERY_MS, patience.signal);
    }
  }

  /** The events of one render, until it has ended. A connection that breaks is opened again, and no event is lost. */
  async *eventsOf(renderId: string, options: FollowOptions = {}): AsyncGenerator<FollowedEvent> {
    for await (const event of followEvents(this.#connection, `${renderPath(renderId)}/events`, options)) {
      yield event;
      if (event.type === 'render.removed') return;
    }
  }

  /** Events of all renders that this key may see, from now on, until the signal ends them. */
  async *events(options: FollowOptions & EventFilter = {}): AsyncGenerator<FollowedEvent> {
    const query = new URLSearchParams();
    if (options.modelId) query.set('model_id', options.modelId);
    if (options.status) query.set('status', options.status);
    if (options.types) query.set('types', options.types.join(','));
    yield* followEvents(this.#connection, `/v1/events?${query}`, options);
  }

  /** Waits for the end of a render; a failed one is thrown as its error. */
  async finished(renderId: string): Promise<RenderView> {
    let last: RenderView | undefined;
    for await (const view of this.watch(renderId)) last = view;
    if (!last || last.error)
      throw last?.error ? FarmError.fromReport(last.error) : new FarmError('internal', 'No state');
    return last;
  }

  /** Cancels a render and returns how it stands then; one that has ended stays as it is, with its result. */
  async cancel(renderId: string): Promise<RenderView> {
    return await this.#connection.read(renderViewSchema, `${renderPath(renderId)}/cancel`, { method: 'POST' });
  }

  /** Takes a failed render up again where it was; any other one but a cancelled one stays as it is. */
  async retry(renderId: string): Promise<RenderView> {
    return await this.#connection.read(renderViewSchema, `${renderPath(renderId)}/retry`, { method: 'POST' });
  }

  /** Removes a render that has ended, record and files; one that is not there is removed already. */
  async remove(renderId: string): Promise<void> {
    await this.#connection.request(renderPath(renderId), { method: 'DELETE' }).catch((error: unknown) => {
      if (!(error instanceof FarmError && error.code === 'render_unknown')) throw error;
    });
  }

  async receipt(renderId: string): Promise<Receipt> {
    return await this.#connection.read(receiptSchema, `${renderPath(renderId)}/receipt`);
  }

  /** A frame of a render to frames, as JPEG, or as PNG of a render to PNG frames. */
  async frame(renderId: string, frameIndex: number): Promise<Uint8Array> {
    return await this.#bytes(`${renderPath(renderId)}/frames/${frameIndex}`);
  }

  /** The latest picture of a render that runs, as JPEG. FarmError('preview_unknown') while there is none. */
  async preview(renderId: string): Promise<Uint8Array> {
    return await this.#bytes(`${renderPath(renderId)}/preview`);
  }

  /**
   * The frames of a render as they are made: all of a render to frames, also of one that has ended; of a video that is
   * being made the latest, two a second. Ends with the render; `get` says how that was. FarmError('output_not_kept')
   * for a finished video.
   */
  async *frames(renderId: string, options: RenderFramesOptions = {}): AsyncGenerator<RenderFrame> {
    yield* renderFrames(this.#connection, renderPath(renderId), options);
  }

  /** A JPEG of frames, or an SVG of the voice or of the stages. FarmError('picture_unknown') where none was made. */
  async picture(renderId: string, picture: RenderPicture): Promise<Uint8Array> {
    return await this.#bytes(`${renderPath(renderId)}/${picture}`);
  }

  /** The video, piece by piece as it comes. */
  async *video(renderId: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const response = await this.#connection.request(`${renderPath(renderId)}/video`, { signal: signal ?? null });
    yield* this.#connection.chunks(response, signal);
  }

  /** Opens a live stream: sound up, frames down. */
  async live(options: LiveOptions = {}): Promise<LiveSession> {
    return await LiveSession.open(this.#connection, this.#apiKey, options);
  }

  /** Every configured model, and what the GPU workers have in memory. */
  async models(): Promise<ModelList> {
    return await this.#connection.read(modelListSchema, '/v1/models');
  }

  /** Has a model loaded, on this GPU if one is named. */
  async loadModel(modelId: string, gpu?: number): Promise<LoadAnswer> {
    return await this.#connection.read(loadAnswerSchema, `/v1/models/${encodeURIComponent(modelId)}/load`, {
      ...json(gpu === undefined ? {} : { gpu }),
      signal: AbortSignal.timeout(LOAD_WITHIN_MS),
    });
  }

  /** Has a model unloaded on every GPU. */
  async unloadModel(modelId: string): Promise<UnloadAnswer> {
    const route = `/v1/models/${encodeURIComponent(modelId)}/unload`;
    return await this.#connection.read(unloadAnswerSchema, route, { method: 'POST' });
  }

  /** Every GPU of the farm, with its worker, backlog, models and room for streams. */
  async gpus(): Promise<GpuList> {
    return await this.#connection.read(gpuListSchema, '/v1/gpus');
  }

  /** Takes a GPU out of service: it finishes what runs, its waiting jobs go to others. */
  async drainGpu(gpuId: number): Promise<GpuView> {
    return await this.#orderGpu(gpuId, 'drain');
  }

  /** Puts a GPU back into service, and unblocks every model there. */
  async resumeGpu(gpuId: number): Promise<GpuView> {
    return await this.#orderGpu(gpuId, 'resume');
  }

  /** Sends a message to try a webhook, by default the farm's own; `deliveries` says what becomes of it. */
  async testWebhook(url?: URL): Promise<WebhookTest> {
    const request = json(url ? { url: url.href } : {});
    return await this.#connection.read(webhookTestSchema, '/v1/webhooks/test', request);
  }

  /** The secrets that sign what is sent to webhooks of this key. */
  async webhookSecrets(): Promise<string[]> {
    return (await this.#connection.read(webhookSecretsSchema, '/v1/webhooks/secrets')).secrets;
  }

  /** The latest tries to tell webhooks, newest first. @param limit 1 to 100. */
  async deliveries({ renderId, messageId, limit = 20 }: DeliveryFilter = {}): Promise<DeliveryTry[]> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (renderId) query.set('render', renderId);
    if (messageId) query.set('id', messageId);
    return (await this.#connection.read(deliveryListSchema, `/v1/webhooks/deliveries?${query}`)).deliveries;
  }

  async #orderGpu(gpuId: number, order: 'drain' | 'resume'): Promise<GpuView> {
    return await this.#connection.read(gpuViewSchema, `/v1/gpus/${gpuId}/${order}`, { method: 'POST' });
  }

  async #bytes(route: string): Promise<Uint8Array> {
    const response = await this.#connection.request(route);
    return new Uint8Array(await this.#connection.guard(response.arrayBuffer()));
  }
}

function renderPath(renderId: string): string {
  return `/v1/renders/${encodeURIComponent(renderId)}`;
}
