import { z } from 'zod';
import { storedErrorSchema } from '../formats/stored-error.ts';
import { isVideo, OUTPUTS } from './outputs.ts';
import { errorReportSchema, RENDER_STATUSES, type RenderStatus } from './record.ts';

/** What happens to renders, as streams of events and webhooks tell it. docs/webhooks.md describes it for users. */

export const RENDER_EVENTS = [
  'render.queued',
  'render.running',
  'render.progress',
  'render.completed',
  'render.failed',
  'render.cancelled',
  'render.removed',
] as const;
export type RenderEventName = (typeof RENDER_EVENTS)[number];

/** Sent by whoever tries his webhook. */
export const WEBHOOK_TEST = 'webhook.test';
/** In a stream of events: some have gone that the reader has not seen, and he must look how the renders stand. */
export const EVENTS_MISSED = 'events.missed';

/** What a webhook may ask for: progress is for those who watch. */
export const WEBHOOK_EVENTS = RENDER_EVENTS.filter((name) => name !== 'render.progress');
export type WebhookEventName = (typeof WEBHOOK_EVENTS)[number];
/** What a webhook is told when nobody has chosen: how the render ended. */
export const ENDS_OF_RENDERS = ['render.completed', 'render.failed', 'render.cancelled'] as const;

/** The event with which a render comes to a status. */
export const EVENT_OF_STATUS: Readonly<Record<RenderStatus, RenderEventName>> = {
  queued: 'render.queued',
  preparing: 'render.running',
  rendering: 'render.progress',
  stitching: 'render.progress',
  completed: 'render.completed',
  failed: 'render.failed',
  cancelled: 'render.cancelled',
};

/** As the scripts on render records write it (renders/event-scripts.ts). */
export const storedEventSchema = z.object({
  renderId: z.string(),
  status: z.enum(RENDER_STATUSES),
  modelId: z.string().default(''),
  output: z.enum(OUTPUTS).catch('mp4').default('mp4'),
  owner: z.string().optional(),
  framesDone: z.int().default(0),
  framesTotal: z.int().optional(),
  error: storedErrorSchema.optional(),
  labels: z.record(z.string(), z.string()).default({}),
});
export type StoredEvent = z.infer<typeof storedEventSchema>;

/** An event as clients and webhooks read it: type, timestamp and data, as Standard Webhooks has it. */
export const renderEventSchema = z
  .object({
    type: z.enum(RENDER_EVENTS),
    /** When it happened, by the clock of Redis. */
    timestamp: z.string(),
    data: z.object({
      id: z.string(),
      status: z.enum(RENDER_STATUSES),
      model_id: z.string(),
      owner: z.string().nullable(),
      labels: z.record(z.string(), z.string()),
      frames: z.object({ done: z.int(), total: z.int().nullable() }),
      error: errorReportSchema.nullable(),
      /** Paths on the farm. */
      links: z.object({
        self: z.string(),
        video: z.string().nullable(),
        frames: z.string().nullable(),
        receipt: z.string().nullable(),
      }),
    }),
  })
  .meta({ id: 'RenderEvent' });
export type RenderEvent = z.infer<typeof renderEventSchema>;

/** @param id of its entry in the stream, which begins with the time in ms. */
export function toRenderEvent(type: RenderEventName, id: string, stored: StoredEvent): RenderEvent {
  const self = `/v1/renders/${stored.renderId}`;
  const isThere = type === 'render.completed';
  return {
    type,
    timestamp: new Date(eventTimeMs(id)).toISOString(),
    data: {
      id: stored.renderId,
      status: stored.status,
      model_id: stored.modelId,
      owner: stored.owner ?? null,
      labels: stored.labels,
      frames: { done: stored.framesDone, total: stored.framesTotal ?? null },
      error: stored.error ?? null,
      links: {
        self,
        video: isThere && isVideo(stored.output) ? `${self}/video` : null,
        frames: isThere && !isVideo(stored.output) ? `${self}/frames/{index}` : null,
        receipt: isThere ? `${self}/receipt` : null,
      },
    },
  };
}

/** `1764279000123-0`: as Redis numbers the entries of a stream. */
export const EVENT_ID = /^\d{1,15}-\d{1,15}$/;

export function eventTimeMs(id: string): number {
  return Number(id.split('-')[0]);
}

/** The first id that may come behind `id`. */
export function nextEventId(id: string): string {
  const [ms = '0', sequence = '0'] = id.split('-');
  return `${ms}-${Number(sequence) + 1}`;
}

/** Negative when `a` came before `b`, as for sorting. */
export function compareEventIds(a: string, b: string): number {
  const [aMs = 0, aSequence = 0] = a.split('-').map(Number);
  const [bMs = 0, bSequence = 0] = b.split('-').map(Number);
  return aMs - bMs || aSequence - bSequence;
}
