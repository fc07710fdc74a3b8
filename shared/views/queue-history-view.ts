import { z } from 'zod';

/** The last minutes of the queues in the HTTP API: written by the API, read by the studio. */

const queueSchema = z
  .object({
    /** `media`, `media-long`, or that of a GPU, such as `gpu-0`. */
    queue: z.string(),
    /** Null for a queue that is no GPU's. */
    gpu: z.int().nullable(),
    /** Jobs that waited or ran at each of the times; null where the queue was not there. */
    jobs: z.array(z.int().nullable()),
    /** Frames a second that the GPU made until each of the times; null where that is not known. */
    frames_per_second: z.array(z.number().nullable()),
    /** When it was last seen that the GPU had made frames; null when it was not. */
    last_frame_at: z.string().nullable(),
  })
  .meta({ id: 'QueueHistory' });

export const queueHistoriesSchema = z
  .object({
    /** When it was looked, oldest first; ISO 8601, by the clock of Redis. */
    times: z.array(z.string()),
    /** How far back the farm remembers. */
    minutes: z.number(),
    queues: z.array(queueSchema),
  })
  .meta({ id: 'QueueHistories' });
export type QueueHistories = z.infer<typeof queueHistoriesSchema>;
