import { z } from 'zod';
import { BACKGROUND_MODES } from '../background-mode.ts';
import { ERROR_CATALOGUE, type ErrorCode } from '../errors/catalogue.ts';
import { storedErrorSchema } from '../formats/stored-error.ts';
import { originSchema } from '../jobs/origin.ts';
import { JPEG_QUALITY, LABEL_KEY, LABEL_VALUE, MOST_LABELS } from '../limits.ts';
import { FRAME_RATES } from '../sound/frame-rate.ts';
import { footageSchema } from './footage.ts';
import { OUTPUTS } from './outputs.ts';

/** The record of a render, in Redis: one JSON value per field, each written by the process that does that part. */

export const RENDER_STATUSES = [
  'queued',
  'preparing',
  'rendering',
  'stitching',
  'completed',
  'failed',
  'cancelled',
] as const;
export type RenderStatus = (typeof RENDER_STATUSES)[number];

const TERMINAL: ReadonlySet<RenderStatus> = new Set(['completed', 'failed', 'cancelled']);
export const isTerminal = (status: RenderStatus): boolean => TERMINAL.has(status);

const errorCodes = Object.keys(ERROR_CATALOGUE) as [ErrorCode, ...ErrorCode[]];
export const errorReportSchema = z.object({ code: z.enum(errorCodes), message: z.string(), remedy: z.string() });

/** In which order renders get their turn; one without a priority has that of 'normal'. */
export const RENDER_PRIORITIES = ['low', 'normal', 'high'] as const;
export type RenderPriority = (typeof RENDER_PRIORITIES)[number];

/** What a client notes about a render, to find it again by: as it comes in. */
export const labelsSchema = z
  .record(
    z.string().regex(LABEL_KEY, 'a key of a label has letters, digits, ".", "_", "/" and "-", 64 at most'),
    z.string().regex(LABEL_VALUE, 'a label is a text of 1 to 255 characters, none of which controls a terminal'),
  )
  .refine((labels) => Object.keys(labels).length <= MOST_LABELS, `a render has ${MOST_LABELS} labels at most`);
/** Where a render's events are to be sent. */
const renderWebhookSchema = z.object({
  url: z.string(),
  /** Names of events.ts. */
  events: z.array(z.string()),
  /** Name of the API key whose own secret signs it; absent: the secrets of the farm do. */
  signedFor: z.string().optional(),
});
export type RenderWebhook = z.infer<typeof renderWebhookSchema>;

/** The user's request. */
const renderRequestSchema = z.object({
  modelId: z.string(),
  output: z.enum(OUTPUTS),
  /** Position in the walk over the avatar's pictures at which the render begins. */
  startFrameIndex: z.int().nonnegative(),
  jpegQuality: z.int().min(JPEG_QUALITY.min).max(JPEG_QUALITY.max),
  fileName: z.string(),
  /** Of everything that was uploaded. */
  uploadBytes: z.int().nonnegative(),
  uploadSha256: z.string(),
  /** Absent in requests without labels, so that their fingerprints stay as they were. */
  labels: z.record(z.string(), z.string()).optional(),
  /** Absent: normal. */
  priority: z.enum(RENDER_PRIORITIES).optional(),
  /** Frames [from, to) of the whole render that are to be made, to the end without `to`; absent: all of them. */
  range: z.object({ from: z.int().nonnegative(), to: z.int().positive().optional() }).optional(),
  webhook: renderWebhookSchema.optional(),
  /** Absent: ping-pong. */
  backgroundMode: z.enum(BACKGROUND_MODES).optional(),
  /** Whether the walk turns back in the middle, and ends where it began; absent: it does not. */
  fromNeutral: z.literal(true).optional(),
  /** Whether the mouth is closed and still in silence; absent: it is as the network makes it. */
  silenceGate: z.literal(true).optional(),
  /** Silence in ms after which the model's idle clip is shown; absent: it is not. Only with a silence gate. */
  idleAfterMs: z.int().nonnegative().optional(),
  /** Silence before and after the sound; absent: none. */
  audioLeadMs: z.int().positive().optional(),
  audioTailMs: z.int().positive().optional(),
  /** A video that is shown in place of the avatar's pictures; absent: these are. */
  footage: footageSchema.optional(),
  /** Frames a second, whatever the configuration says meanwhile; absent: 25. */
  frameRate: z.literal(FRAME_RATES).optional(),
  /** Whether segments of earlier renders are used, and its own are kept; absent: as the farm does. */
  cache: z.literal(false).optional(),
});
export type RenderRequest = z.infer<typeof renderRequestSchema>;

/** How to read the sound that `prepare` keeps for the ear (`artifactKeys.sound`). */
const soundForEarSchema = z.object({
  sampleRateHz: z.int().positive(),
  /** Interleaved in the file: 1 or 2. */
  storedChannels: z.int().positive(),
  /** To be played: 1 when both stored channels are the same. */
  channels: z.int().positive(),
  /** Full scale of the file stands for this much. */
  gain: z.number().positive(),
});
export type SoundForEar = z.infer<typeof soundForEarSchema>;

/** As GateSettings of shared/sound/silence-gate.ts. */
const gateSettingsSchema = z.object({
  openDbfs: z.number(),
  closeDbfs: z.number(),
  holdMs: z.number(),
  leadMs: z.number(),
});

/** What `prepare` decided. It has all settings that affect the pictures, so that every worker makes the same. */
const renderPlanSchema = z.object({
  sampleCount: z.int().positive(),
  /** Of a video; a render to frames has none. */
  sound: soundForEarSchema.optional(),
  /** Frames that are made. */
  frameCount: z.int().positive(),
  /** Of a range: its first frame, and the frames of the whole sound. Absent: 0 and `frameCount`. */
  firstFrame: z.int().nonnegative().optional(),
  totalFrames: z.int().positive().optional(),
  /** Pictures that own footage gave. */
  footagePictures: z.int().positive().optional(),
  /** How long somebody speaks in these frames: worker/media/speech-meter.ts. */
  speechSeconds: z.number().nonnegative().optional(),
  /** Of a render with a silence gate: what is silence. Which frames are, is in the store (`artifactKeys.voices`). */
  gate: gateSettingsSchema.optional(),
  segmentFrames: z.int().positive(),
  batchFrames: z.int().positive(),
  encoderBatchWindows: z.int().positive(),
  h264Crf: z.int(),
  h264Preset: z.string(),
  /** Version of the model's entry: all segments are made from the same version, even if the entry changes meanwhile. */
  modelVersion: z.string().optional(),
  /** GPU number of each segment's queue. */
  segmentGpus: z.array(z.int().nonnegative()),
});
export type RenderPlan = z.infer<typeof renderPlanSchema>;

/** Frames [start, end) of the whole sound that a plan makes. */
export function framesOf({ firstFrame = 0, frameCount }: Pick<RenderPlan, 'firstFrame' | 'frameCount'>): {
  readonly start: number;
  readonly end: number;
} {
  return { start: firstFrame, end: firstFrame + frameCount };
}

/** Milliseconds spent in each stage, summed over all segments. */
export const stageTimingsSchema = z.object({
  mel: z.number(),
  encoder: z.number(),
  background: z.number(),
  visual_input: z.number(),
  inference: z.number(),
  composite: z.number(),
  encode: z.number(),
});
export type StageTimings = z.infer<typeof stageTimingsSchema>;

const modelFileSchema = z.object({ path: z.string(), sha256: z.string(), bytes: z.int() });

/** What a GPU worker reports of a finished segment. */
export const segmentReceiptSchema = z.object({
  index: z.int(),
  frames: z.object({ start: z.int(), end: z.int() }),
  gpu: z.int(),
  worker: z.string(),
  provider: z.string(),
  width: z.int(),
  height: z.int(),
  /** Whether its frames have the alpha of their pictures; absent: they have none. */
  alpha: z.boolean().optional(),
  attempt: z.int(),
  /** ISO 8601, by the clock of the worker. Workers of earlier versions do not say it. */
  started_at: z.string().optional(),
  wall_ms: z.number(),
  timings_ms: stageTimingsSchema,
  /**
   * Of a render with a silence gate: frames in silence, those that needed no run, runs that made mouths of silence, and
   * frames that show an idle clip; workers of earlier versions know none.
   */
  silence: z.object({ frames: z.int(), spared: z.int(), made: z.int(), idle: z.int().default(0) }).optional(),
  model_files: z.array(modelFileSchema),
  /** True where it was rendered for an earlier render, and kept: `gpu`, `worker` and `provider` are those of then. */
  cached: z.literal(true).optional(),
});
export type SegmentReceipt = z.infer<typeof segmentReceiptSchema>;

export const renderRecordSchema = z.object({
  renderId: z.string(),
  status: z.enum(RENDER_STATUSES),
  request: renderRequestSchema,
  createdAtMs: z.number(),
  preparingAtMs: z.number().optional(),
  /** When the segments were put on the GPU queues. */
  renderingAtMs: z.number().optional(),
  /** When the first of them was picked up. */
  firstSegmentAtMs: z.number().optional(),
  stitchingAtMs: z.number().optional(),
  finishedAtMs: z.number().optional(),
  /** Name of the API key that it was submitted with; a farm without keys has no owners. */
  owner: z.string().optional(),
  /** What it is found by: search.ts. Absent in records of an earlier version. */
  search: z.string().optional(),
  /** The request that it was submitted with, for its jobs. */
  origin: originSchema.optional(),
  /** Who moved the render to its status: the token by which a step that comes again knows its own work. */
  writer: z.string().optional(),
  /** Name of the idempotency key that the render was submitted under (keys.ts), freed again with the render. */
  idempotencyKey: z.string().optional(),
  plan: renderPlanSchema.optional(),
  /** How often it was taken up again after it had failed; absent: never. Jobs of an earlier run do nothing. */
  run: z.int().positive().optional(),
  error: storedErrorSchema.optional(),
});
export type RenderRecord = z.infer<typeof renderRecordSchema>;
