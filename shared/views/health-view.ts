import { z } from 'zod';

/** The answer of GET /readyz. */

const readinessProblemSchema = z.object({
  /** A code of the catalogue of errors, or `no_gpu`, `no_media_worker`, `worker_silent`. */
  code: z.string(),
  message: z.string(),
  /** True when live requests suffer from it, too; false when renders alone do. */
  live: z.boolean(),
});
export type ReadinessProblem = z.infer<typeof readinessProblemSchema>;

export const readinessSchema = z
  .object({
    /** `ready`: there is no problem. */
    status: z.enum(['ready', 'not ready']),
    /** Numbers of the GPUs that take work. */
    gpus: z.array(z.int()),
    media_workers: z.int(),
    problems: z.array(readinessProblemSchema),
  })
  .meta({ id: 'Readiness' });
export type ReadinessView = z.infer<typeof readinessSchema>;
