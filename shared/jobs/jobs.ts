import { z } from 'zod';
import { BACKGROUND_MODES } from '../background-mode.ts';
import { JPEG_QUALITY } from '../limits.ts';
import { RENDER_PRIORITIES, type RenderRequest } from '../renders/record.ts';
import { FRAME_RATES } from '../sound/frame-rate.ts';
import { IDLE_AMOUNTS } from '../sound/idle-track.ts';
import { VOICES } from '../sound/silence-gate.ts';
import { originSchema } from './origin.ts';

/**
 * The jobs of the farm, as a discriminated union on `name`. Data holds references only, never sound or pictures, and is
 * what Bull Board shows: it is meant to be read by people.
 */

const frameRange = z.object({ start: z.int().nonnegative(), end: z.int().positive() });

/** Of a render that was retried after it had failed: how often. */
const run = z.int().positive().optional();
/** The request that it was made for; absent in jobs of older farms. */
const origin = originSchema.optional();

/** Of a render that workers of the first format would make wrongly; absent in all others. */
const format = z.int().positive().optional();

const prepareJobSchema = z.object({ name: z.literal('prepare'), renderId: z.string(), run, format, origin });
const segmentJobSchema = z.object({
  name: z.literal('segment'),
  renderId: z.string(),
  run,
  format,
  origin,
  /** Name of the API key that the render belongs to. */
  owner: z.string().optional(),
  /** Of the render; absent: normal. */
  priority: z.enum(RENDER_PRIORITIES).optional(),
  modelId: z.string(),
  segmentIndex: z.int().nonnegative(),
  segmentCount: z.int().positive(),
  /** Frames [start, end) of the render. */
  frames: frameRange,
  /** How the segment came to this queue when it was planned for another one. */
  moved: z
    .object({
      times: z.int().positive(),
      /** Pickups on the queues before, so that attempts keep counting up. */
      attempts: z.int().nonnegative(),
      /** GPUs that have failed at it. */
      failedOn: z.array(z.int().nonnegative()),
    })
    .optional(),
});
const stitchJobSchema = z.object({ name: z.literal('stitch'), renderId: z.string(), run, format, origin });

/** How a worker gets at a live request without Redis: shared/live/direct/. */
const directChannelSchema = z.object({
  /** Of its front end: `unix:/path` or `tcp:host:port`. */
  address: z.string(),
  /** Whoever shows it may fetch the payload of this request and send its frames, as long as it runs. */
  token: z.string(),
});
export type DirectChannel = z.infer<typeof directChannelSchema>;

/**
 * Frames that a client waits for: a unary request, or the next few frames of a live stream. The request's id names its
 * payload (shared/live/live-payload.ts) and the frame channel for its frames (shared/live/frames.ts).
 */
const liveJobSchema = z.object({
  name: z.literal('live'),
  requestId: z.string(),
  origin,
  /** The live stream that the frames belong to; absent for a request of its own. */
  streamId: z.string().optional(),
  /** 1 for the first try; frames of a lower attempt are fenced out. */
  attempt: z.int().positive(),
  modelId: z.string(),
  /** Frames [start, end) of the sound that the payload is a piece of. */
  frames: frameRange,
  /** Position of frame 0 in the walk over the avatar's pictures. */
  startFrameIndex: z.int().nonnegative(),
  /** Absent: ping-pong. */
  backgroundMode: z.enum(BACKGROUND_MODES).optional(),
  /** Frames a second; absent: 25. */
  frameRate: z.literal(FRAME_RATES).optional(),
  /** How much of a voice each frame hears, a digit each (sound/silence-gate.ts); absent: all of it. */
  voices: z.string().regex(VOICES).optional(),
  /** How much of the model's idle clip each frame shows (sound/idle-track.ts); absent: nothing. */
  idle: z.object({ amounts: z.string().regex(IDLE_AMOUNTS), place: z.int().nonnegative() }).optional(),
  /** Length of the whole sound in samples, or of what is known of it when these frames do not depend on the rest. */
  totalSamples: z.int().nonnegative(),
  /** Place of the payload's first sample in the whole sound. */
  firstSample: z.int().nonnegative(),
  /** Feature rows after the frame's own that the network gets to see; 7 is all of them, less means less latency. */
  rowsAhead: z.int().min(0).max(7),
  output: z.enum(['jpeg', 'raw']),
  jpegQuality: z.int().min(JPEG_QUALITY.min).max(JPEG_QUALITY.max),
  /** True for the network's own output [3, S, S] float32, BGR, of every frame, in place of the frame. */
  mouths: z.boolean().optional(),
  /** True to load the model and render no frame. */
  loadOnly: z.boolean().optional(),
  /** How long a worker that has picked it up may keep it waiting for its model; absent in jobs of older farms. */
  waitMs: z.number().nonnegative().optional(),
  /** Absent: payload and frames go over Redis. */
  direct: directChannelSchema.optional(),
  /**
   * 2 with what workers of the first format do not know: `direct`, or visual inputs in bytes; 3 for mouths; 4 for a walk
   * other than ping-pong; 5 for another frame rate than 25, and for frames in silence; 6 for an idle clip.
   */
  format: z.int().positive().optional(),
  /**
   * The client no longer waits after this time, by the clock of its front end. For workers of older farms: the clocks of
   * two hosts differ, and nobody else compares them.
   */
  expiresAtMs: z.number(),
});

/** A message to a webhook, by its id (shared/webhooks/deliveries.ts). */
const webhookJobSchema = z.object({ name: z.literal('webhook'), deliveryId: z.string(), format, origin });

export const jobSchema = z.discriminatedUnion('name', [
  prepareJobSchema,
  segmentJobSchema,
  stitchJobSchema,
  liveJobSchema,
  webhookJobSchema,
]);

/**
 * Raise it when a worker of the version before would do such a job wrongly. Jobs of a higher format are left to workers
 * that know it; a job without one is of the first.
 */
const JOB_FORMAT = 6;
/**
 * Of live jobs with a direct channel or with visual inputs in bytes: a worker of the first format would look for their
 * payload in Redis, and take the bytes for floats.
 */
export const SECOND_LIVE_FORMAT = 2;
/** Of live jobs for mouths: a worker of the formats before knows no such output. */
export const THIRD_LIVE_FORMAT = 3;

/** Of live jobs with a walk other than ping-pong: a worker of the formats before would show other pictures. */
export const FOURTH_LIVE_FORMAT = 4;
/** Of live jobs for frames at another rate than 25: a worker of the formats before would have them hear other sound. */
export const FIFTH_LIVE_FORMAT = 5;

/** Of live jobs and renders with a silence gate: a worker of the formats before would run the network all the same. */
export const GATE_FORMAT = 5;

/** Of those that show an idle clip: a worker of the formats before would go on with the avatar's other pictures. */
export const IDLE_FORMAT = 6;

/** Of all jobs of a render to a range: a worker of the formats before would make all of its frames. */
const RANGE_FORMAT = 3;
/** Of a render with another walk, or with silence around its sound: a worker of the formats before knows neither. */
const WALK_FORMAT = 4;
/** Of a render of own footage: a worker of the formats before would show the avatar's pictures. */
const FOOTAGE_FORMAT = 5;
/** Of a render to an output that workers of the formats before do not know. */
const OUTPUT_FORMAT = 5;
/** Of a render with another frame rate than 25: a worker of the formats before would make 25 frames a second. */
const FRAME_RATE_FORMAT = 5;

const withFormat = z.object({ format: z.number() });

/** Whether this data was written for workers of a newer version than this. */
export function isOfNewerFormat(data: unknown): boolean {
  const parsed = withFormat.safeParse(data);
  return parsed.success && parsed.data.format > JOB_FORMAT;
}

export type Job = z.infer<typeof jobSchema>;
export type JobName = Job['name'];
export type JobOf<N extends JobName> = Extract<Job, { name: N }>;
export type SegmentJob = JobOf<'segment'>;
export type LiveJob = JobOf<'live'>;
export type WebhookJob = JobOf<'webhook'>;
/** Jobs that are a part of a render. */
export type RenderJob = Exclude<Job, LiveJob | WebhookJob>;

/** What a job takes over from the record of its render. */
export type OfRender = Pick<RenderJob, 'renderId' | 'run' | 'origin'> & {
  readonly request: Pick<
    RenderRequest,
    | ('output' | 'range' | 'backgroundMode' | 'fromNeutral' | 'silenceGate' | 'idleAfterMs')
    | ('audioLeadMs' | 'audioTailMs' | 'footage' | 'frameRate')
  >;
};

/** The job that decodes and plans a render, in its present run. */
export function prepareJobOf(record: OfRender): JobOf<'prepare'> {
  return { name: 'prepare', ...ofRender(record) };
}

/** The job that joins the segments of a render, in its present run. */
export function stitchJobOf(record: OfRender): JobOf<'stitch'> {
  return { name: 'stitch', ...ofRender(record) };
}

/** The fields that every job of a render has. */
export function ofRender({
  renderId,
  run,
  origin,
  request,
}: OfRender): Pick<RenderJob, 'renderId' | 'run' | 'format' | 'origin'> {
  return {
    renderId,
    ...(run === undefined ? {} : { run }),
    ...(origin ? { origin } : {}),
    ...formatOf(request),
  };
}

function formatOf({ output, range, ...request }: OfRender['request']): Pick<RenderJob, 'format'> {
  if (request.idleAfterMs !== undefined) return { format: IDLE_FORMAT };
  if (output === 'webm' || output === 'png-frames') return { format: OUTPUT_FORMAT };
  const { backgroundMode, fromNeutral, silenceGate, audioLeadMs, audioTailMs, footage, frameRate } = request;
  if (footage) return { format: FOOTAGE_FORMAT };
  if (silenceGate) return { format: GATE_FORMAT };
  if (frameRate) return { format: FRAME_RATE_FORMAT };
  if (backgroundMode ?? fromNeutral ?? audioLeadMs ?? audioTailMs) return { format: WALK_FORMAT };
  return range === undefined ? {} : { format: RANGE_FORMAT };
}
