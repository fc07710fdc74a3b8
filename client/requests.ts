import type { BackgroundMode } from '../shared/background-mode.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { WebhookEventName } from '../shared/renders/events.ts';
import type { MarkForm, SyncMode } from '../shared/renders/footage.ts';
import type { Output } from '../shared/renders/outputs.ts';
import type { RenderPriority, RenderStatus } from '../shared/renders/record.ts';

/** What requests about renders say, in the form in which the farm takes it. */

/** A sound that lies in the farm's bucket already, as `uploads.put` returns it. */
export interface UploadedSound {
  readonly uploadId: string;
}

type SoundFile = Blob | Uint8Array<ArrayBuffer>;

/** The sound of a render: its file, the address from which the farm is to fetch it, or what was uploaded in parts. */
export type Audio = SoundFile | URL | UploadedSound;

/** A person's own video, which a render shows in place of the avatar's pictures. */
export interface FootageOptions {
  readonly video: Blob | Uint8Array<ArrayBuffer>;
  /** Name of the video; default: that of a File, else "video". */
  readonly fileName?: string;
  /** Where the mouth is in each frame: a file of crop rects in JSON, or of landmarks, 110 lines a frame. */
  readonly marks: { readonly form: MarkForm; readonly file: Blob | Uint8Array<ArrayBuffer> };
  /** What happens where sound and video differ in length; default: cut. */
  readonly syncMode?: SyncMode;
}

export interface SubmitOptions {
  /** Needed when the farm has several models. */
  readonly modelId?: string;
  /** `webm` and `png-frames` keep the alpha of the avatar's pictures; default: mp4. */
  readonly output?: Output;
  /** Where in the avatar's pictures the render begins, from 0. */
  readonly startFrame?: number;
  /** How the pictures are walked over; default: as the farm's model says. */
  readonly backgroundMode?: BackgroundMode;
  /** Whether the mouth is closed and still in silence; as the model says when absent. */
  readonly silenceGate?: boolean;
  /** False: every frame is rendered, whatever is kept of earlier renders, and nothing of this one is kept. */
  readonly cache?: boolean;
  /** Whether it ends with the picture that it begins with, so that videos can be joined. */
  readonly fromNeutral?: boolean;
  /** Silence to put before and after the sound, in ms, 60 000 at most. */
  readonly audioLeadMs?: number;
  readonly audioTailMs?: number;
  /** 1 to 100, for frames. */
  readonly jpegQuality?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly priority?: RenderPriority;
  /** Frames a second; default: as the farm's model says. */
  readonly fps?: 20 | 25;
  /** Frames [from, to) of the sound are made, so many a second; by default all. */
  readonly from?: number;
  readonly to?: number;
  /** Where the end of the render is told; default: as the farm is configured. */
  readonly webhookUrl?: string;
  /** What is told there; default: how the render ended. */
  readonly webhookEvents?: readonly WebhookEventName[];
  /** Shown in place of the avatar's pictures; not for a batch. */
  readonly footage?: FootageOptions;
  /** Name of the sound; default: that of a File, else "audio". */
  readonly fileName?: string;
  /** The same key with the same request means the same render, for 24 hours. */
  readonly idempotencyKey?: string;
}

/** A sound of a batch, with what differs from the options of all. */
export interface BatchItem {
  readonly audio: SoundFile;
  readonly options?: SubmitOptions;
}

/** Which renders a list shows; each filter that is given must hold. */
export interface RenderFilter {
  readonly status?: RenderStatus;
  readonly modelId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Words that are all in the render's id, file name, model and labels, in any case. */
  readonly search?: string;
  /** Made at this time or later, and before that one. */
  readonly createdFrom?: Date;
  readonly createdTo?: Date;
}

/** Which tries to tell webhooks are listed. */
export interface DeliveryFilter {
  /** Only those about this render. */
  readonly renderId?: string;
  /** Only those of this message. */
  readonly messageId?: string;
  readonly limit?: number;
}

export interface EstimateOptions
  extends Pick<SubmitOptions, 'modelId' | 'from' | 'to' | 'audioLeadMs' | 'audioTailMs' | 'fps'> {
  readonly audioSeconds: number;
}

/** The body and headers of a submission. */
export function submission(audio: Audio, options: SubmitOptions): RequestInit {
  const headers: Record<string, string> = options.idempotencyKey ? { 'idempotency-key': options.idempotencyKey } : {};
  const fields = fieldsOf(options);
  const { footage } = options;
  if ('uploadId' in audio && !footage) return json({ upload_id: audio.uploadId, ...fields }, headers);
  if (audio instanceof URL && !footage) return json({ audio_url: audio.href, ...fields }, headers);
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, textOf(value));
  if (footage) appendFootage(form, footage);
  if (audio instanceof URL) form.set('audio_url', audio.href);
  else if ('uploadId' in audio) form.set('upload_id', audio.uploadId);
  else appendAudio(form, audio, options);
  return { method: 'POST', body: form, headers };
}

/** One request with many sounds. */
export function batchRequest(items: readonly BatchItem[], defaults: SubmitOptions): RequestInit {
  const headers: Record<string, string> = defaults.idempotencyKey ? { 'idempotency-key': defaults.idempotencyKey } : {};
  const form = new FormData();
  for (const [name, value] of Object.entries(fieldsOf(defaults))) form.set(name, textOf(value));
  form.set('items', JSON.stringify(items.map(({ options = {} }) => fieldsOf(options))));
  for (const { audio, options } of items) appendAudio(form, audio, options);
  return { method: 'POST', body: form, headers };
}

function appendAudio(form: FormData, audio: SoundFile, options: SubmitOptions = {}): void {
  form.append('audio', asBlob(audio), options.fileName ?? nameOf(audio, 'audio'));
}

function appendFootage(form: FormData, { video, fileName, marks, syncMode }: FootageOptions): void {
  if (syncMode) form.set('sync_mode', syncMode);
  form.append(marks.form, asBlob(marks.file), marks.form);
  form.append('video', asBlob(video), fileName ?? nameOf(video, 'video'));
}

function asBlob(file: Blob | Uint8Array<ArrayBuffer>): Blob {
  return file instanceof Blob ? file : new Blob([file]);
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function fieldsOf(options: SubmitOptions): Record<string, unknown> {
  return present({
    model_id: options.modelId,
    output: options.output,
    start_frame: options.startFrame,
    background_mode: options.backgroundMode,
    from_neutral: options.fromNeutral,
    silence_gate: options.silenceGate,
    cache: options.cache,
    audio_lead_ms: options.audioLeadMs,
    audio_tail_ms: options.audioTailMs,
    jpeg_quality: options.jpegQuality,
    fps: options.fps,
    labels: options.labels,
    priority: options.priority,
    from: options.from,
    to: options.to,
    webhook_url: options.webhookUrl,
    webhook_events: options.webhookEvents,
  });
}

export function estimateRequest({ audioSeconds, ...options }: EstimateOptions): RequestInit {
  const { modelId, from, to, audioLeadMs, audioTailMs, fps } = options;
  const silence = { audio_lead_ms: audioLeadMs, audio_tail_ms: audioTailMs };
  return json({ audio_seconds: audioSeconds, ...present({ model_id: modelId, from, to, fps, ...silence }) });
}

/** A POST of JSON. */
export function json(body: object, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

/** The query of a list, such as "?limit=20&status=failed". */
export function listQuery(limit: number, filter: RenderFilter): string {
  const query = new URLSearchParams({ limit: String(limit) });
  if (filter.status) query.set('status', filter.status);
  if (filter.modelId) query.set('model_id', filter.modelId);
  for (const [key, value] of Object.entries(filter.labels ?? {})) query.append('label', `${key}=${value}`);
  if (filter.search) query.set('search', filter.search);
  if (filter.createdFrom) query.set('created_from', timeOf(filter.createdFrom));
  if (filter.createdTo) query.set('created_to', timeOf(filter.createdTo));
  return `?${query}`;
}

function timeOf(date: Date): string {
  if (Number.isNaN(date.getTime())) throw new FarmError('request_invalid', 'A time to list renders by is no time');
  return date.toISOString();
}

/** Those that are given. */
function present(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function nameOf(file: Blob | Uint8Array, otherwise: string): string {
  return 'name' in file && typeof file.name === 'string' && file.name !== '' ? file.name : otherwise;
}
