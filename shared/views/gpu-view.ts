import { z } from 'zod';
import { processStateSchema } from './process-view.ts';

/** The farm's GPUs in the HTTP API: written by the API, read by the client. Times are ISO 8601, durations are in ms. */

/** Live streams, at the frame rate of their models. */
const capacitySchema = z
  .object({
    streams: z.int(),
    used: z.int(),
    /** Streams that can still be opened. */
    free: z.int(),
  })
  .meta({ id: 'Capacity' });
export type Capacity = z.infer<typeof capacitySchema>;

const gpuModelSchema = z
  .object({
    model_id: z.string(),
    loaded: z.boolean(),
    /** What it takes now; null while it is not loaded. */
    memory_mb: z.number().nullable(),
    /** As last measured on this GPU; null until the model was loaded there. */
    load_ms: z.number().nullable(),
    /** A whole frame: sound, network, composite, JPEG. */
    frame_ms: z.number().nullable(),
    /** A run of the network for one frame; null while the model is not loaded. */
    inference_ms: z.number().nullable(),
    /** Streams that the GPU can hold when all are of this model. */
    streams: z.int(),
    problems: z.array(z.string()),
    /** How far the fetch of its files is, in bytes, `total` null where no server says; null when they are here. */
    fetching: z
      .object({
        bytes: z.number(),
        total: z.number().nullable(),
        /** Why the last try failed; null when none did. */
        fault: z.string().nullable(),
      })
      .nullable()
      .default(null),
    blocked: z.object({ code: z.string(), reason: z.string(), since: z.string() }).nullable(),
    request_count: z.int(),
  })
  .meta({ id: 'GpuModel' });

export const gpuViewSchema = z
  .object({
    gpu: z.int(),
    /** `gone`: there is work on its queue, and no worker. */
    state: z.enum(['ready', 'draining', 'drained', 'gone']),
    worker: z.string().nullable(),
    host: z.string().nullable(),
    pid: z.int().nullable(),
    started_at: z.string().nullable(),
    provider: z.string().nullable(),
    device: z.string().nullable(),
    /** Models that it may have in memory at once. */
    max_models: z.int(),
    /** Memory of its models, the limit of that, and the resident memory of its process. */
    memory: z.object({ used_mb: z.number(), limit_mb: z.number(), process_mb: z.number() }).nullable(),
    models: z.array(gpuModelSchema),
    /**
     * Jobs that wait and run, and their work in ms at the cost of the GPU's costliest model; null before a measurement.
     */
    backlog: z.object({ jobs: z.int(), waiting: z.int(), active: z.int(), ms: z.number().nullable() }),
    /** Frames that its workers have made since the farm began to count; those of two looks give frames/s. */
    frames_made: z.int().default(0),
    /** Ids of the renders whose segments it renders now. */
    renders: z.array(z.string()).default([]),
    /** By the costliest model that is measured. */
    capacity: capacitySchema,
  })
  .meta({ id: 'Gpu' });
export type GpuView = z.infer<typeof gpuViewSchema>;

export const gpuListSchema = z
  .object({
    gpus: z.array(gpuViewSchema),
    /** Of all GPUs that are ready. */
    capacity: capacitySchema,
    /** The processes of the `farm up` that runs this front end, its Redis among them; empty without one. */
    processes: z.array(processStateSchema).default([]),
  })
  .meta({ id: 'GpuList' });
export type GpuList = z.infer<typeof gpuListSchema>;
