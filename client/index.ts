/** The client of a farm, for browsers and Node. docs/client.md describes it. */

export type { ErrorCode } from '../shared/errors/catalogue.ts';
export { type ErrorReport, FarmError } from '../shared/errors/farm-error.ts';
export {
  EVENTS_MISSED,
  RENDER_EVENTS,
  type RenderEvent,
  type RenderEventName,
  type WebhookEventName,
} from '../shared/renders/events.ts';
export type { MarkForm, SyncMode } from '../shared/renders/footage.ts';
export { isTerminal, type RenderPriority, type RenderStatus } from '../shared/renders/record.ts';
export type { Batch } from '../shared/views/batch-view.ts';
export type { Estimate } from '../shared/views/estimate-view.ts';
export type { GcView } from '../shared/views/gc-view.ts';
export type { Capacity, GpuList, GpuView } from '../shared/views/gpu-view.ts';
export type { HostList, HostView } from '../shared/views/host-view.ts';
export type { LoadAnswer, ModelList, ModelView, UnloadAnswer } from '../shared/views/models-view.ts';
export type { Quality, RenderPictures } from '../shared/views/quality-view.ts';
export type { Receipt, RenderPage, RenderView } from '../shared/views/render-view.ts';
export type { UploadView } from '../shared/views/upload-view.ts';
export type { DeliveryTry, WebhookTest } from '../shared/views/webhook-view.ts';
export type { EventFilter, FollowedEvent, FollowOptions } from './events.ts';
export { FarmClient, type RenderPicture } from './farm-client.ts';
export type { FarmHosts } from './farm-hosts.ts';
export type { FarmUploads, UploadOptions } from './farm-uploads.ts';
export type { LiveFrame, LiveMessage } from './live-messages.ts';
export type { LiveOptions, LiveSession } from './live-session.ts';
export { type Patience, patiently } from './patience.ts';
export type { RenderFrame, RenderFramesOptions } from './render-frames.ts';
export type {
  Audio,
  BatchItem,
  DeliveryFilter,
  EstimateOptions,
  FootageOptions,
  RenderFilter,
  SubmitOptions,
  UploadedSound,
} from './requests.ts';
