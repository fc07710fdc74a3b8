import path from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { FarmError } from '../shared/errors.ts';
import { isTerminal } from '../shared/renders/record.ts';
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
import { Connection } from './connection.ts';
import { openInput, writeWhole } from './files.ts';
import { type Patience, patiently } from './patience.ts';

export interface SubmitOptions {
  modelId?: string;
  output?: 'mp4' | 'frames';
  startFrame?: number;
  jpegQuality?: number;
  idempotencyKey?: string;
}

const POLL_EVERY_MS = 250;
const GREETING_WITHIN_MS = 10_000;
/** Loading a model may wait for a place and for a large file. */
const LOAD_WITHIN_MS = 600_000;
const IMPATIENT: Patience = { forMs: 0 };

/** A farm, spoken to over HTTP. Every fault is thrown as a FarmError, as {@link Connection} says. */
export class FarmClient {
  readonly #connection: Connection;

  /** @param baseUrl such as "http://127.0.0.1:8080". FarmError('url_invalid') for what is no address of a farm. */
  constructor(baseUrl: string, apiKey?: string) {
    this.#connection = new Connection(baseUrl, apiKey);
  }

  get url(): string {
    return this.#connection.url;
  }

  /** Resolves if a farm answers that takes this key. */
  async greet(): Promise<void> {
    const signal = AbortSignal.timeout(GREETING_WITHIN_MS);
    await this.#connection.read(z.object({ name: z.literal('Lipsync Farm') }), '/', { signal });
  }

  /** Uploads an audio file and returns the new render. */
  async submit(audioPath: string, options: SubmitOptions = {}): Promise<RenderView> {
    const form = new FormData();
    const fields = {
      model_id: options.modelId,
      output: options.output,
      start_frame: options.startFrame,
      jpeg_quality: options.jpegQuality,
    };
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, String(value));
    form.set('audio', await openInput(audioPath), path.basename(audioPath));
    const headers = options.idempotencyKey ? { 'idempotency-key': options.idempotencyKey } : {};
    // Never aborted: an upload may take any time, and fetch itself ends a wait for the answer after it.
    const signal = new AbortController().signal;
    return await this.#connection.read(renderViewSchema, '/v1/renders', {
      method: 'POST',
      body: form,
      headers,
      signal,
    });
  }

  async get(renderId: string): Promise<RenderView> {
    return await this.#connection.read(renderViewSchema, renderPath(renderId));
  }

  /** Removes what has expired, however long that takes; with `dryRun` it only names it. */
  async collectExpired(dryRun: boolean): Promise<GcView> {
    const signal = new AbortController().signal;
    return await this.#connection.read(gcViewSchema, `/v1/gc?dry_run=${dryRun}`, { method: 'POST', signal });
  }

  /** Newest first. */
  async list(limit = 20): Promise<RenderPage> {
    return await this.#connection.read(renderPageSchema, `/v1/renders?limit=${limit}`);
  }

  /** The render's state again and again until it has ended, the last one included. */
  async *watch(renderId: string, patience: Patience = IMPATIENT): AsyncGenerator<RenderView> {
    for (;;) {
      const view = await patiently(() => this.get(renderId), patience);
      yield view;
      if (isTerminal(view.status)) return;
      await delay(POLL_EVERY_MS, undefined, { signal: patience.signal }).catch(() => patience.signal?.throwIfAborted());
    }
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

  async frame(renderId: string, frameIndex: number): Promise<Buffer> {
    const response = await this.#connection.request(`${renderPath(renderId)}/frames/${frameIndex}`);
    return Buffer.from(await this.#connection.guard(response.arrayBuffer()));
  }

  /** Fetches the video. `targetPath` is there when all of it is, and not before. FarmError('output_unwritable'). */
  async saveVideo(renderId: string, targetPath: string, signal?: AbortSignal): Promise<void> {
    const { body } = await this.#connection.request(`${renderPath(renderId)}/video`, { signal: signal ?? null });
    if (!body) throw new FarmError('answer_unexpected', `${this.url} answered without a video`);
    await writeWhole(targetPath, this.#chunks(Readable.fromWeb(body), signal));
  }

  /** Every configured model, and what the GPU workers have in memory. */
  async models(): Promise<ModelList> {
    return await this.#connection.read(modelListSchema, '/v1/models');
  }

  /** Has a model loaded, on this GPU if one is named. */
  async loadModel(modelId: string, gpu?: number): Promise<LoadAnswer> {
    return await this.#connection.read(loadAnswerSchema, `/v1/models/${encodeURIComponent(modelId)}/load`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(gpu === undefined ? {} : { gpu }),
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

  async #orderGpu(gpuId: number, order: 'drain' | 'resume'): Promise<GpuView> {
    return await this.#connection.read(gpuViewSchema, `/v1/gpus/${gpuId}/${order}`, { method: 'POST' });
  }

  async *#chunks(body: Readable, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const chunks = body[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await this.#connection.guard(chunks.next(), signal);
      if (done) return;
      yield value;
    }
  }
}

function renderPath(renderId: string): string {
  return `/v1/renders/${encodeURIComponent(renderId)}`;
}
