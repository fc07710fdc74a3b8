import { z } from 'zod';

/** The farm's hosts in the HTTP API: written by the API, read by the client. Durations are in ms. */

const hostGpuSchema = z.object({
  gpu: z.int(),
  state: z.enum(['ready', 'draining', 'drained', 'gone']),
  /** Name of the device; null before its first model was loaded, and while it is gone. */
  device: z.string().nullable(),
  tags: z.array(z.string()),
});

const hostModelSchema = z.object({
  model_id: z.string(),
  loaded: z.boolean(),
  /** Of its network, its encoder and its crop rects, as they are in memory; null while it is not loaded. */
  files_hash: z.string().nullable(),
  /** Whether other hosts have it in memory from other files. */
  differs: z.boolean(),
  problems: z.array(z.string()),
});

export const hostViewSchema = z
  .object({
    name: z.string(),
    /** `gone`: it has no living worker; its GPUs keep their numbers. */
    state: z.enum(['ready', 'draining', 'drained', 'gone']),
    /** Of the farm, as its workers run it. */
    versions: z.array(z.string()),
    tags: z.array(z.string()),
    gpus: z.array(hostGpuSchema),
    media_workers: z.int(),
    /** Jobs of all its workers that run now. */
    running_jobs: z.int(),
    models: z.array(hostModelSchema),
    /** Its clock minus that of Redis; null until it was compared. */
    clock_offset_ms: z.number().nullable(),
    /** Since its last sign of life; null while it is gone. */
    last_heartbeat_ms: z.number().nullable(),
    /** What an operator should look at. */
    problems: z.array(z.string()),
  })
  .meta({ id: 'Host' });
export type HostView = z.infer<typeof hostViewSchema>;

export const hostListSchema = z
  .object({
    hosts: z.array(hostViewSchema),
    /** Versions of the farm that its workers run: more than one while it is updated. */
    versions: z.array(z.string()),
  })
  .meta({ id: 'HostList' });
export type HostList = z.infer<typeof hostListSchema>;
