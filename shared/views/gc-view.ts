import { z } from 'zod';

/** What was removed because it had expired, or would be, in the HTTP API. */

export const gcViewSchema = z
  .object({
    dry_run: z.boolean(),
    /** The first thousand; `count` counts all. */
    items: z.array(
      z.object({
        /** render: record and files. files, cancelled-files, part: files. entry: in the list only. jobs: of a queue. prepared: pictures. kept: segments. */
        kind: z.enum(['render', 'files', 'cancelled-files', 'part', 'entry', 'jobs', 'prepared', 'kept']),
        id: z.string(),
        bytes: z.int(),
        reason: z.string(),
        /** Why it is still there; null when it has gone, or was only to be named. */
        fault: z.string().nullable(),
      }),
    ),
    count: z.int(),
    bytes: z.int(),
    /** How many of them are still there because their removal failed. */
    failed: z.int(),
    /** Segments that are kept for later renders, after that; null from an earlier version. */
    segment_cache: z.object({ entries: z.int(), bytes: z.int(), limit_bytes: z.int() }).nullable().default(null),
  })
  .meta({ id: 'Expired' });
export type GcView = z.infer<typeof gcViewSchema>;
