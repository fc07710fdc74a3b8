import { z } from 'zod';
import { BACKGROUND_MODES } from '../background-mode.ts';
import { MARK_FORMS, SYNC_MODES } from '../renders/footage.ts';
import { OUTPUTS } from '../renders/outputs.ts';
import {
  errorReportSchema,
  RENDER_PRIORITIES,
  RENDER_STATUSES,
  segmentReceiptSchema,
  stageTimingsSchema,
} from '../renders/record.ts';
import { FRAME_RATES, USUAL_FRAME_RATE } from '../sound/frame-rate.ts';
import { qualitySchema, renderPicturesSchema } from './quality-view.ts';

/** A render in the HTTP API: written by the API, read by the client. Times are ISO 8601, durations are in ms. */

export const renderViewSchema = z
  .object({
    id: z.string(),
    status: z.enum(RENDER_STATUSES),
    /** Name of the API key that it was submitted with; null on a farm without keys. */
    owner: z.string().nullable().default(null),
    model_id: z.string(),
    output: z.enum(OUTPUTS),
    file_name: z.string(),
    /** As given with the upload. */
    labels: z.record(z.string(), z.string()).default({}),
    priority: z.enum(RENDER_PRIORITIES).default('normal'),
    /** Frames [from, to) of the sound that are made; `to` is null until the sound was read. Null: all of them. */
    range: z.object({ from: z.int(), to: z.int().nullable() }).nullable().default(null),
    created_at: z.string(),
    started_at: z.string().nullable(),
    finished_at: z.string().nullable(),
    audio_seconds: z.number().nullable(),
    /** Frames in a second of the video. */
    fps: z.literal(FRAME_RATES).default(USUAL_FRAME_RATE),
    frames: z.object({
      /** Never falls. */
      done: z.int(),
      total: z.int().nullable(),
      /** Of `done`: frames that are rendered again, because their worker was lost or their segment failed. */
      repeating: z.int(),
    }),
    /** The speed at which they are made. */
    frames_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    timings_ms: z.object({
      queued: z.number().nullable(),
      prepare: z.number().nullable(),
      /** Time on the GPU queues before the first segment was taken up. */
      waiting: z.number().nullable(),
      render: z.number().nullable(),
      stitch: z.number().nullable(),
      total: z.number().nullable(),
      /** Work inside `render`, summed over the segments that are done. */
      stages: stageTimingsSchema.nullable(),
    }),
    /** What is wrong with the farm, while work on this render waits for it to be mended. */
    waiting: errorReportSchema.extend({ since: z.string(), next_try_at: z.string() }).nullable().default(null),
    error: errorReportSchema.nullable(),
    links: z.object({
      self: z.string(),
      video: z.string().nullable(),
      frames: z.string().nullable(),
      receipt: z.string().nullable(),
      contact_sheet: z.string().nullable().default(null),
      waveform: z.string().nullable().default(null),
      waterfall: z.string().nullable().default(null),
    }),
  })
  .meta({ id: 'Render' });
export type RenderView = z.infer<typeof renderViewSchema>;

export const renderPageSchema = z
  .object({
    renders: z.array(renderViewSchema),
    /** Path of the next page, or null on the last one. */
    next: z.string().nullable(),
  })
  .meta({ id: 'RenderPage' });
export type RenderPage = z.infer<typeof renderPageSchema>;

/** The record of what was rendered, from which files, by which workers. */
export const receiptSchema = z
  .object({
    render_id: z.string(),
    model_id: z.string(),
    output: z.enum(OUTPUTS),
    frames: z.int(),
    /** Frames [from, to) of those of the whole sound; null: all of them. */
    range: z.object({ from: z.int(), to: z.int(), of: z.int() }).nullable().default(null),
    /** How it walks over the avatar's pictures, from which on; null in receipts of an earlier version. */
    background: z
      .object({ mode: z.enum(BACKGROUND_MODES), start_frame: z.int(), from_neutral: z.boolean().default(false) })
      .nullable()
      .default(null),
    /** The person's own video that was shown; null: the avatar's pictures were. */
    footage: z
      .object({
        file_name: z.string(),
        sha256: z.string(),
        pictures: z.int(),
        marks: z.enum(MARK_FORMS),
        marks_sha256: z.string(),
        sync_mode: z.enum(SYNC_MODES),
      })
      .nullable()
      .default(null),
    /** Null without a silence gate, and in receipts of an earlier version. */
    silence_gate: z
      .object({
        open_dbfs: z.number(),
        close_dbfs: z.number(),
        hold_ms: z.number(),
        lead_ms: z.number(),
        /** In silence: the mouth is closed and still. */
        frames: z.int(),
        /** Those of them for which the network did not run. */
        spared_frames: z.int(),
        /** Runs of the network that made mouths of silence, which are kept. */
        mouths_made: z.int(),
        /** (spared_frames − mouths_made) ÷ frames of the render. */
        inference_saved: z.number(),
        /** That show the model's idle clip; 0 in receipts of an earlier version. */
        idle_frames: z.int().default(0),
      })
      .nullable()
      .default(null),
    fps: z.literal(FRAME_RATES),
    width: z.int(),
    height: z.int(),
    /** Whether the frames have the alpha of the avatar's pictures; absent in receipts of earlier versions. */
    alpha: z.boolean().optional(),
    audio: z.object({
      file_name: z.string(),
      sha256: z.string(),
      /** Of the whole sound. */
      seconds: z.number(),
      /** How long somebody speaks in the frames that were made; null in receipts of an earlier version. */
      speaking_seconds: z.number().nullable().default(null),
      /** Silence before and after the sound of the file, which `seconds` counts too. */
      lead_ms: z.int().default(0),
      tail_ms: z.int().default(0),
    }),
    video: z.object({ sha256: z.string(), bytes: z.int(), seconds: z.number(), audio_seconds: z.number() }).nullable(),
    /** Sound minus picture in the finished file, AAC padding included; null for frames. */
    audio_minus_video_seconds: z.number().nullable(),
    model_files: segmentReceiptSchema.shape.model_files,
    providers: z.array(z.string()),
    segments: z.array(segmentReceiptSchema.omit({ model_files: true })),
    /** Of all segments: those that were rendered for an earlier render and kept, and their frames. */
    segments_cached: z.int().default(0),
    frames_cached: z.int().default(0),
    timings_ms: stageTimingsSchema,
    /** Null where a worker of an earlier version made some of the frames; absent in receipts of earlier versions. */
    quality: qualitySchema.nullish(),
    /** Absent in receipts of earlier versions, which made none. */
    pictures: renderPicturesSchema.optional(),
    finished_at: z.string(),
  })
  .meta({ id: 'Receipt' });
export type Receipt = z.infer<typeof receiptSchema>;

export const errorBodySchema = z
  .object({
    error: errorReportSchema,
    /** As in the header `x-request-id`: the farm's logs have it. Absent where no request could be read. */
    request_id: z.string().optional(),
  })
  .meta({ id: 'ErrorBody' });
