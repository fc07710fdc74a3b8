import { createWriteStream, openAsBlob } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../shared/errors.ts';
import { isTerminal } from '../shared/renders/record.ts';
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
  errorBodySchema,
  type Receipt,
  type RenderPage,
  type RenderView,
  receiptSchema,
  renderPageSchema,
  renderViewSchema,
} from '../shared/views/render-view.ts';

export interface SubmitOptions {
  modelId?: string;
  output?: 'mp4' | 'frames';
  startFrame?: number;
  jpegQuality?: number;
  idempotencyKey?: string;
}

const POLL_EVERY_MS = 250;

/** A farm, spoken to over HTTP. Every refusal is thrown as the FarmError that the farm answered with. */
export class FarmClient {
  readonly #baseUrl: string;
  readonly #apiKey: string | undefined;

  /** @param baseUrl such as "http://127.0.0.1:8080". */
  constructor(baseUrl: string, apiKey?: string) {
    this.#baseUrl = baseUrl.replace(/\/$/, '');
    this.#apiKey = apiKey;
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
    form.set('audio', await openAsBlob(audioPath), path.basename(audioPath));
    const headers = options.idempotencyKey ? { 'idempotency-key': options.idempotencyKey } : {};
    const response = await this.#request('/v1/renders', { method: 'POST', body: form, headers });
    return renderViewSchema.parse(await response.json());
  }

  async get(renderId: string): Promise<RenderView> {
    return renderViewSchema.parse(await (await this.#request(`/v1/renders/${renderId}`)).json());
  }

  /** Newest first. */
  async list(limit = 20): Promise<RenderPage> {
    return renderPageSchema.parse(await (await this.#request(`/v1/renders?limit=${limit}`)).json());
  }

  /** The render's state again and again until it has ended, the last one included. */
  async *watch(renderId: string, signal?: AbortSignal): AsyncGenerator<RenderView> {
    for (;;) {
      const view = await this.get(renderId);
      yield view;
      if (isTerminal(view.status)) return;
      await delay(POLL_EVERY_MS, undefined, signal ? { signal } : {});
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

  /** Cancels a running render, removes a finished one. */
  async remove(renderId: string): Promise<void> {
    await this.#request(`/v1/renders/${renderId}`, { method: 'DELETE' });
  }

  async receipt(renderId: string): Promise<Receipt> {
    return receiptSchema.parse(await (await this.#request(`/v1/renders/${renderId}/receipt`)).json());
  }

  async frame(renderId: string, frameIndex: number): Promise<Buffer> {
    const response = await this.#request(`/v1/renders/${renderId}/frames/${frameIndex}`);
    return Buffer.from(await response.arrayBuffer());
  }

  async saveVideo(renderId: string, targetPath: string): Promise<void> {
    const response = await this.#request(`/v1/renders/${renderId}/video`);
    if (!response.body) throw new FarmError('internal', 'The farm answered without a video');
    await pipeline(Readable.fromWeb(response.body), createWriteStream(targetPath));
  }

  /** Every configured model, and what the GPU workers have in memory. */
  async models(): Promise<ModelList> {
    return modelListSchema.parse(await (await this.#request('/v1/models')).json());
  }

  /** Has a model loaded, on this GPU if one is named. */
  async loadModel(modelId: string, gpu?: number): Promise<LoadAnswer> {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify(gpu === undefined ? {} : { gpu }) };
    const response = await this.#request(`/v1/models/${encodeURIComponent(modelId)}/load`, init);
    return loadAnswerSchema.parse(await response.json());
  }

  /** Has a model unloaded on every GPU. */
  async unloadModel(modelId: string): Promise<UnloadAnswer> {
    const response = await this.#request(`/v1/models/${encodeURIComponent(modelId)}/unload`, { method: 'POST' });
    return unloadAnswerSchema.parse(await response.json());
  }

  /** Every GPU of the farm, with its worker, backlog, models and room for streams. */
  async gpus(): Promise<GpuList> {
    return gpuListSchema.parse(await (await this.#request('/v1/gpus')).json());
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
    const response = await this.#request(`/v1/gpus/${gpuId}/${order}`, { method: 'POST' });
    return gpuViewSchema.parse(await response.json());
  }

  async #request(route: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#apiKey) headers.set('authorization', `Bearer ${this.#apiKey}`);
    const response = await fetch(`${this.#baseUrl}${route}`, { ...init, headers }).catch((error: Error) => {
      throw new FarmError('internal', `No farm answers at ${this.#baseUrl}: ${describe(error)}`, { cause: error });
    });
    if (response.ok) return response;
    const body = errorBodySchema.safeParse(await response.json().catch(() => undefined));
    if (body.success) throw FarmError.fromReport(body.data.error);
    throw new FarmError('internal', `${this.#baseUrl}${route} answered ${response.status}`);
  }
}

function describe({ message, cause }: Error): string {
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
}
