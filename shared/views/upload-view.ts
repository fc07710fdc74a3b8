import { z } from 'zod';

/** A sound that comes to the store in parts, and may go on after a break. */
export const uploadViewSchema = z
  .object({
    upload_id: z.string(),
    file_name: z.string(),
    bytes: z.int(),
    /** Of each part but the last. */
    part_bytes: z.int(),
    /** Whether it may be rendered. */
    complete: z.boolean(),
    /** When what has come is removed, unless it is rendered. */
    expires_at: z.iso.datetime(),
    /** Empty once it is complete. */
    parts: z.array(
      z.object({
        /** From 1. */
        number: z.int(),
        bytes: z.int(),
        /** Whether its bytes have come. */
        there: z.boolean(),
        /** Where to PUT them, within the next hour; null for a part that is there. */
        url: z.url().nullable(),
      }),
    ),
  })
  .meta({ id: 'Upload' });
export type UploadView = z.infer<typeof uploadViewSchema>;
