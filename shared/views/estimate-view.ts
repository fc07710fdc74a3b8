import { z } from 'zod';

/** What a render would cost, as far as the farm can know. Durations are in seconds; null: nothing was measured. */
export const estimateSchema = z
  .object({
    model_id: z.string(),
    /** Frames that would be made. */
    frames: z.int(),
    /** GPUs that can render the model now. */
    gpus: z.int(),
    /** Of the model on one GPU of this farm: the mean of those that can render it. */
    frames_per_second: z.number().nullable(),
    /** Work of all GPUs together. */
    gpu_seconds: z.number().nullable(),
    /** Until the GPU that gets free first has done what is on its queue now, and has loaded the model. */
    queue_seconds: z.number().nullable(),
    /** Until all frames are rendered, by all of these GPUs, behind all that is on their queues now. */
    finish_seconds: z.number().nullable(),
  })
  .meta({ id: 'Estimate' });
export type Estimate = z.infer<typeof estimateSchema>;
