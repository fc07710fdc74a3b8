import { z } from 'zod';
import { AUDIO_KINDS } from '../sound/audio-kinds.ts';
import { FRAME_RATES, USUAL_FRAME_RATE } from '../sound/frame-rate.ts';

/** A farm's models as `/v1/models` shows them; the client reads the same schemas. */

/** What a model's network hears of a sound. */
const hearsSchema = z.object({
  features: z.enum(AUDIO_KINDS),
  /** Rows of features that a frame hears. */
  rows: z.int(),
  /** How long a stream's frame waits for sound after its own beginning, at most; null: to the end of the sound. */
  latency_ms: z.number().nullable(),
  /** The same for streams of low latency. */
  low_latency_ms: z.number().nullable(),
});

/** A model in the memory of one GPU worker. */
const loadedOnSchema = z.object({
  gpu: z.int(),
  memory_mb: z.number(),
  /** From the first file that was read to the end of the warm-up. */
  load_ms: z.number(),
  /** A run of the network for one frame, measured in the warm-up. */
  ms_per_frame: z.number(),
  loaded_at: z.iso.datetime(),
  /** How many of its avatar's pictures are prepared; null for a worker of an older version. */
  pictures: z.object({ prepared: z.int(), total: z.int() }).nullable().default(null),
});

const modelViewSchema = z
  .object({
    id: z.string(),
    /** Whether a GPU worker can use it; while none is alive, whether one probably could. */
    usable: z.boolean(),
    /** What is wrong with it, on any worker. */
    problems: z.array(z.string()),
    preferred_gpu: z.int().nullable(),
    /** Null when its network cannot be read, and of a farm of an older version. */
    hears: hearsSchema.nullable().default(null),
    /** Frames a second of its videos and streams, unless a request says otherwise. */
    fps: z.literal(FRAME_RATES).default(USUAL_FRAME_RATE),
    /** GPUs whose host does not have all of its files yet, and how far their fetch is, in bytes. */
    fetching_on: z
      .array(z.object({ gpu: z.int(), bytes: z.number(), total: z.number().nullable(), fault: z.string().nullable() }))
      .default([]),
    /** Empty while it is loaded nowhere. */
    loaded_on: z.array(loadedOnSchema),
    /** Segments and live requests, on all GPU workers since they started. */
    requests: z.int(),
    average_inference_ms: z.number().nullable(),
    last_used_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Model' });
export type ModelView = z.infer<typeof modelViewSchema>;

export const modelListSchema = z.object({ models: z.array(modelViewSchema) }).meta({ id: 'ModelList' });
export type ModelList = z.infer<typeof modelListSchema>;

/** Some of an avatar's pictures, made small, evenly spaced. */
export const avatarPicturesViewSchema = z
  .object({
    model_id: z.string(),
    /** Of the avatar's own pictures, in pixels. */
    width: z.int(),
    height: z.int(),
    /** Number of the avatar's own pictures. */
    total: z.int(),
    pictures: z.array(
      z.object({
        /** Of the avatar's own picture. */
        index: z.int(),
        /** Where its mouth is made anew, in pixels of its own picture. */
        rect: z.object({ x1: z.int(), y1: z.int(), x2: z.int(), y2: z.int() }),
        /** Path of the small picture, a JPEG. */
        link: z.string(),
      }),
    ),
  })
  .meta({ id: 'AvatarPictures' });
export type AvatarPicturesView = z.infer<typeof avatarPicturesViewSchema>;

export const loadAnswerSchema = z
  .object({
    id: z.string(),
    gpu: z.int(),
    /** False when this request loaded it. */
    was_loaded: z.boolean(),
    /** How long the load took, waiting for room included; 0 when it was loaded. */
    load_ms: z.number(),
  })
  .meta({ id: 'LoadedModel' });
export type LoadAnswer = z.infer<typeof loadAnswerSchema>;

export const unloadAnswerSchema = z
  .object({
    id: z.string(),
    /** GPUs on which it was loaded and no longer is. */
    gpus: z.array(z.int()),
  })
  .meta({ id: 'UnloadedModel' });
export type UnloadAnswer = z.infer<typeof unloadAnswerSchema>;
