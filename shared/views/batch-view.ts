import { z } from 'zod';
import { errorReportSchema } from '../renders/record.ts';
import { renderViewSchema } from './render-view.ts';

/** What became of the sounds of a batch: each has either a render or an error. */
export const batchSchema = z
  .object({
    taken: z.int(),
    refused: z.int(),
    /** In the order of the request. */
    items: z.array(
      z.object({
        index: z.int(),
        file_name: z.string().nullable(),
        render: renderViewSchema.nullable(),
        error: errorReportSchema.nullable(),
      }),
    ),
  })
  .meta({ id: 'Batch' });
export type Batch = z.infer<typeof batchSchema>;
