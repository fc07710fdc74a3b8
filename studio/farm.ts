import type { GpuList, GpuView } from '../shared/views/gpu-view.ts';
import type { AvatarPicturesView, ModelList } from '../shared/views/models-view.ts';
import type { QueueHistories } from '../shared/views/queue-history-view.ts';
import type { Receipt, RenderPage, RenderView } from '../shared/views/render-view.ts';
import type { SessionView } from '../shared/views/session-view.ts';

/** The farm that served this page, over its HTTP API. Every fault is thrown as a {@link Fault}. */

const SIGN_IN = '/dashboard/sign-in';

/** Why the farm refused something, or could not be reached (`farm_unreachable`). */
export class Fault extends Error {
  readonly code: string;
  readonly remedy: string;

  constructor(code: string, message: string, remedy = '') {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

export interface NewRender {
  readonly sound: File;
  readonly modelId: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly priority?: RenderView['priority'];
  /** Other fields of the form, by their names; empty ones are left to the farm. */
  readonly options?: Readonly<Record<string, string>>;
}

/**
 * Sends a sound. XMLHttpRequest, because fetch does not tell how far an upload is.
 * @param onSent is told the part that was sent, 0 … 1.
 */
export async function submitRender(render: NewRender, onSent: (part: number) => void): Promise<RenderView> {
  const { sound, modelId, labels = {}, priority, options = {} } = render;
  const form = new FormData();
  form.set('model_id', modelId);
  if (Object.keys(labels).length > 0) form.set('labels', JSON.stringify(labels));
  if (priority) form.set('priority', priority);
  for (const [name, value] of Object.entries(options)) if (value !== '') form.set(name, value);
  form.set('audio', sound, sound.name);
  const request = new XMLHttpRequest();
  request.open('POST', '/v1/renders');
  request.upload.addEventListener('progress', ({ loaded, total }) => onSent(total > 0 ? loaded / total : 0));
  const ended = Promise.withResolvers<void>();
  request.addEventListener('loadend', () => ended.resolve());
  request.send(form);
  await ended.promise;
  if (request.status === 0) throw new Fault('farm_unreachable', 'the connection broke off');
  return answerOf(request.status, request.responseText);
}

/** Whose key this browser uses, and what that may do. */
export const getSession = () => ask<SessionView>('/v1/session');
export const getRender = (id: string) => ask<RenderView>(`/v1/renders/${id}`);
export const getReceipt = (id: string) => ask<Receipt>(`/v1/renders/${id}/receipt`);
export const cancelRender = (id: string) => order<RenderView>(`/v1/renders/${id}/cancel`);
export const retryRender = (id: string) => order<RenderView>(`/v1/renders/${id}/retry`);
export const removeRender = (id: string) => ask<undefined>(`/v1/renders/${id}`, { method: 'DELETE' });
export const listGpus = () => ask<GpuList>('/v1/gpus');
export const getQueueHistory = () => ask<QueueHistories>('/v1/queues/history');
export const drainGpu = (gpu: number) => order<GpuView>(`/v1/gpus/${gpu}/drain`);
export const resumeGpu = (gpu: number) => order<GpuView>(`/v1/gpus/${gpu}/resume`);
export const listModels = () => ask<ModelList>('/v1/models');
export const listAvatarPictures = (id: string) =>
  ask<AvatarPicturesView>(`/v1/models/${encodeURIComponent(id)}/pictures`);
export const loadModel = (id: string) => order<unknown>(`/v1/models/${encodeURIComponent(id)}/load`);
export const unloadModel = (id: string) => order<unknown>(`/v1/models/${encodeURIComponent(id)}/unload`);

/** The sound of a finished render, in its video. */
export async function soundOf({ file_name, links }: RenderView): Promise<File> {
  const response = await fetchFrom(links.video ?? '');
  if (!response.ok) return answerOf(response.status, await response.text());
  return new File([await response.blob()], file_name);
}

/** The newest picture of a render that runs; undefined while there is none. */
export async function newestPicture(id: string): Promise<Blob | undefined> {
  const response = await fetchFrom(`/v1/renders/${id}/preview`);
  return response.ok ? await response.blob() : undefined;
}

/** A page of renders, newest first. @param next as the page before gave it; without it the newest. */
export function listRenders(query: Readonly<Record<string, string>>, next?: string): Promise<RenderPage> {
  return ask<RenderPage>(next ?? `/v1/renders?${new URLSearchParams(query)}`);
}

async function order<T>(path: string): Promise<T> {
  return await ask<T>(path, { method: 'POST' });
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetchFrom(path, init);
  return answerOf<T>(response.status, await response.text());
}

async function fetchFrom(path: string, init: RequestInit = {}): Promise<Response> {
  return await fetch(path, init).catch((error: Error) => {
    throw new Fault('farm_unreachable', error.message);
  });
}

function answerOf<T>(status: number, text: string): T {
  if (status === 401) location.assign(`${SIGN_IN}?${new URLSearchParams({ to: `/${location.hash}` })}`);
  const body = parsed(text);
  if (status >= 200 && status < 300) return body as T;
  const { code = 'answer_unexpected', message = `status ${status}`, remedy = '' } = body?.error ?? {};
  throw new Fault(code, message, remedy);
}

interface ErrorBody {
  readonly error?: { readonly code?: string; readonly message?: string; readonly remedy?: string };
}

function parsed(text: string): ErrorBody | undefined {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    throw new Fault('answer_unexpected', 'what answers there is no farm');
  }
}
